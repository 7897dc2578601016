"""Checkpoints of a training run, read without running any code that they might bring.

RLlib's own checkpoints are pickles: whoever may write to a storage could run commands on every node
that goes on from it. These hold the same state, as tensors and plain values.
"""

import json
import logging
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray  # pyright: ignore[reportPrivateUsage]

from rl_datagen.core.disk import disk_errors
from rl_datagen.core.storage import write_json

logger = logging.getLogger(__name__)

LEARNING_CURVE = "learning_curve.json"
_STATE, _PARTIAL = "state.pt", "partial"
_NUM_KEPT = 2  # the one before is there if the newest is damaged
_DTYPES = ("f4", "f8", "i4", "i8", "u1", "u4", "u8", "b1")
_ARRAYS: list[Any] = [
    *(multiarray.scalar, multiarray._reconstruct, np.ndarray, np.dtype),
    *(type(np.dtype(name)) for name in _DTYPES),
]
"""What NumPy's arrays of numbers are made of; everything else PyTorch refuses to load."""


def save_checkpoint(algo: Any, folder: Path, curve: list[dict[str, Any]]) -> None:
    """Writes an iteration's checkpoint, whole or not at all, and removes all but the last two.

    Args:
        algo: RLlib's algorithm.
        folder: Of the checkpoints.
        curve: The learning curve so far.

    Raises:
        DiskError: The disk is full or cannot be written.
    """
    with disk_errors(folder):
        _save(algo, folder, curve)


def _save(algo: Any, folder: Path, curve: list[dict[str, Any]]) -> None:
    partial = folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with (partial / _STATE).open("wb") as file:  # PyTorch's own writer hides what a disk says
        torch.save(algo.get_state(), file)
    write_json(partial / LEARNING_CURVE, curve)
    target = folder / f"{algo.iteration:05d}"
    shutil.rmtree(target, ignore_errors=True)  # a damaged one, if any
    partial.rename(target)
    for old in _found(folder)[:-_NUM_KEPT]:
        shutil.rmtree(old)


def restore_checkpoint(algo: Any, folder: Path) -> list[dict[str, Any]]:
    """Goes on from the newest checkpoint that is sound; returns its learning curve.

    Args:
        algo: RLlib's algorithm; stays as it is if there is none.
        folder: Of the checkpoints.
    """
    for path in reversed(_found(folder)):
        try:
            with torch.serialization.safe_globals(_ARRAYS), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of another pickle than PyTorch writes
                state = torch.load(path / _STATE, weights_only=True)
            curve = json.loads((path / LEARNING_CURVE).read_text("utf-8"))
            iteration = state["training_iteration"]
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.PickleError) as error:
            logger.warning(
                "damaged or not this release's, going on from the one before or the warm start "
                "checkpoint=%s error=%s",
                path,
                type(error).__name__,
            )
            continue
        algo.set_state(state)
        logger.info("restored iteration=%d path=%s", iteration, path)
        return curve
    return []


def _found(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir())
