"""The state of what learns, as one file that is compared with its checksums when it is read."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from rl_datagen.core.errors import first_line
from rl_datagen.core.storage import atomic_path


def save_state(path: Path, state: Any) -> None:
    """Writes tensors and plain values, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)  # PyTorch's own writer hides what a disk says


def load_state(path: Path, device: str | torch.device = "cpu", allowed: Any = ()) -> Any:
    """Returns what ``save_state`` wrote, without running any code that the file might bring.

    PyTorch writes a checksum of each part and does not look at it.

    Args:
        path: The file.
        device: Where tensors go.
        allowed: What may be in it besides; see ``torch.serialization.safe_globals``.

    Raises:
        ValueError: It is damaged, or there is none.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            if (part := parts.testzip()) is not None:
                raise ValueError(f"{part} has another checksum")
        with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another pickle than PyTorch writes
            return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever a parser thinks of bytes that nobody wrote
        raise ValueError(first_line(error)) from error
