"""The env steps that a VLA is trained on, as they lie on disk for all workers."""

# Legend: M env steps, B batch, T env steps of an episode, Ta action horizon, Da action dim.

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from pydantic import model_validator
from torch import Tensor

from rl_datagen.config import Appearance
from rl_datagen.core.cores import num_cores
from rl_datagen.core.errors import first_line
from rl_datagen.core.storage import sha256
from rl_datagen.core.stored import Open, damaged, object_form, read_stored
from rl_datagen.data.images import decode_image
from rl_datagen.data.names import Number, Sha256, TaskId
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS, UNRECORDED_APPEARANCE
from rl_datagen.data.trajectory import Source
from rl_datagen.tasks import get_task

INFO = "info.json"
COLUMNS = ("proprio", "action", "last", "task", *(f"{camera}_end" for camera in CAMERAS))


def part_file(number: int, camera: str) -> str:
    """Returns the name of a part's images, which lie one after the other."""
    return f"{number:05d}-{camera}.bin"


def _files(num_parts: int) -> Iterator[str]:
    yield from (f"{name}.npy" for name in COLUMNS)
    yield from (part_file(number, camera) for number in range(num_parts) for camera in CAMERAS)


class Images(Protocol):
    """Images by number; an array is one."""

    def __getitem__(self, index: Int64[np.ndarray, " B"], /) -> UInt8[np.ndarray, "B H W 3"]:
        """Returns some of them, RGB, upright."""
        ...


class StoredImages:
    """Images in files; each is read when it is asked for.

    Args:
        paths: The files.
        ends: Where each image ends, counted over all files.
        encoded: Whether they are PNG or JPEG; else pixels, which are square.
    """

    def __init__(
        self, paths: Sequence[Path], ends: Int64[np.ndarray, " M"], *, encoded: bool
    ) -> None:
        self._files = [np.memmap(path, np.uint8, "r") for path in paths]
        self._begins = np.cumsum([0, *(len(file) for file in self._files)])
        self._ends, self._encoded = ends, encoded
        self._threads = ThreadPoolExecutor(num_cores())  # decoding leaves Python to others

    def __getitem__(self, index: Int64[np.ndarray, " B"], /) -> UInt8[np.ndarray, "B H W 3"]:
        """Returns some of them, RGB, upright."""
        found = [self._find(number) for number in index.tolist()]
        if self._encoded:
            return np.stack([*self._threads.map(decode_image, map(np.ndarray.tobytes, found))])
        side = isqrt(len(found[0]) // 3)
        return np.stack(found).reshape(-1, side, side, 3)

    def _find(self, number: int) -> UInt8[np.ndarray, " num_bytes"]:
        begin, end = self._ends[number - 1] if number else 0, self._ends[number]
        file = int(np.searchsorted(self._begins, begin, side="right")) - 1
        first = self._begins[file]
        return self._files[file][begin - first : end - first]


@dataclass(frozen=True, eq=False)
class Frames:
    """Env steps of successful episodes.

    Attributes:
        images: By camera.
        proprio: As in ``Trajectory``.
        action: As in ``Trajectory``.
        last: The last env step of each one's episode.
        instruction: Number of each one's instruction.
        instructions: The sentences.
        info: What else is known: ``image_size`` as stored, ``num_episodes`` by source, ``tasks``.
    """

    images: Mapping[str, Images]
    proprio: Float32[np.ndarray, "M 8"]
    action: Float32[np.ndarray, "M Da"]
    last: Int64[np.ndarray, " M"]
    instruction: Int64[np.ndarray, " M"]
    instructions: list[str]
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.action)

    def observation(self, index: Int64[np.ndarray, " B"]) -> dict[str, Tensor]:
        """Returns what was seen at some env steps, without the instruction."""
        columns = {"proprio": self.proprio, **self.images}
        return {key: torch.from_numpy(column[index]) for key, column in columns.items()}

    def chunk(self, index: Int64[np.ndarray, " B"], length: int) -> Float[Tensor, "B Ta Da"]:
        """Returns the actions from some env steps on.

        After the end of its episode, at success, a chunk repeats the last action: a policy that has
        not succeeded there should keep doing what made it.
        """
        rows = np.minimum(index[:, None] + np.arange(length), self.last[index][:, None])
        return torch.from_numpy(self.action[rows])

    def stats(self) -> NormStats:
        """Returns the statistics of all env steps."""
        return NormStats.from_arrays(self.action, {"proprio": self.proprio})


def check_frames(folder: Path) -> None:
    """Compares the files that ``write_frames`` has left in an earlier call with their checksums.

    Raises:
        UserError: One is damaged.
    """
    advice = _advice(folder)
    for name, expected in read_stored(folder / INFO, _FORM, advice)["sha256"].items():
        try:
            actual = sha256(folder / name)
        except OSError as error:
            raise damaged(str(folder / name), first_line(error), advice) from None
        if actual != expected:
            raise damaged(str(folder / name), f"its SHA-256 is {actual}, not {expected}", advice)


def _advice(folder: Path) -> str:
    return f"Delete {folder}: the same command decodes the images again."


class _Info(Open):
    """What the file of a folder of frames says."""

    image_size: Number
    appearance: Appearance = UNRECORDED_APPEARANCE
    num_episodes: dict[Source, Number]
    num_frames: Number
    tasks: list[TaskId]
    num_parts: Number
    encoded: bool
    sha256: dict[str, Sha256]

    @model_validator(mode="after")
    def _names_all_files(self) -> Self:
        expected = set(_files(self.num_parts))
        if set(self.sha256) != expected:
            raise ValueError(f"sha256 of {len(expected)} files of {self.num_parts} parts, not of")
        return self


_FORM = object_form(_Info)


def read_frames(folder: Path) -> Frames:
    """Returns what ``write_frames`` wrote; images stay on disk until they are looked at.

    ``check_frames`` has found it whole.
    """
    info = read_stored(folder / INFO, _FORM, _advice(folder))
    info.setdefault("appearance", UNRECORDED_APPEARANCE)
    columns = {name: np.load(folder / f"{name}.npy") for name in COLUMNS}
    images = {}
    for camera in CAMERAS:
        paths = [folder / part_file(number, camera) for number in range(info["num_parts"])]
        ends = columns.pop(f"{camera}_end")
        images[camera] = StoredImages(paths, ends, encoded=info["encoded"])
    sentences = [get_task(task).instruction for task in info["tasks"]]
    instructions = list(dict.fromkeys(sentences))  # tasks of two suites may share one
    number = np.array([instructions.index(sentence) for sentence in sentences])
    task = columns.pop("task")
    return Frames(images, **columns, instruction=number[task], instructions=instructions, info=info)
