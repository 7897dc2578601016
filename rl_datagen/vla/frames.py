"""The env steps that a VLA is trained on, decoded once, on disk as arrays that all workers map."""

# Legend: M env steps, B batch, T env steps of an episode, Ta action horizon, Da action dim.

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from pydantic import AfterValidator
from torch import Tensor

from rl_datagen.config import Appearance
from rl_datagen.core.errors import first_line
from rl_datagen.core.storage import atomic_folder, sha256, write_json
from rl_datagen.core.stored import Open, damaged, object_form, read_stored
from rl_datagen.data.names import Number, Sha256, TaskId
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS, UNRECORDED_APPEARANCE
from rl_datagen.data.trajectory import Source
from rl_datagen.export.episodes import read_plan
from rl_datagen.export.plan import Choice, plan_export
from rl_datagen.tasks import get_task
from rl_datagen.vla.network import resize

_INFO = "info.json"
_COLUMNS = ("proprio", "action", "last", "task")
_FILES = {f"{camera}.u8" for camera in CAMERAS} | {f"{name}.npy" for name in _COLUMNS}


@dataclass(frozen=True, eq=False)
class Frames:
    """Env steps of successful episodes.

    Attributes:
        images: By camera: RGB, upright.
        proprio: As in ``Trajectory``.
        action: As in ``Trajectory``.
        last: The last env step of each one's episode.
        instruction: Number of each one's instruction.
        instructions: The sentences.
        info: What else is known: ``image_size`` as stored, ``num_episodes`` by source, ``tasks``.
    """

    images: Mapping[str, UInt8[np.ndarray, "M H W 3"]]
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


def write_frames(
    folder: Path, dataset: Path, *, tasks: str, drop_noops: bool, image_size: int
) -> None:
    """Decodes a dataset's successful episodes, one in memory at a time.

    Args:
        folder: Appears whole or not at all; if it is there already, nothing is done.
        dataset: Folder of a rendered dataset.
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops.
        image_size: Larger images are reduced to it.

    Raises:
        DatasetError: Nothing is selected, images are missing, or the dataset is damaged.
    """
    if folder.exists():
        return
    plan = plan_export(dataset, Choice(tasks, drop_noops=drop_noops))
    assert plan.look is not None
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
    sources: Counter[str] = Counter()
    with atomic_folder(folder) as temporary:
        files = {camera: (temporary / f"{camera}.u8").open("wb") for camera in CAMERAS}
        digests = {file.name: hashlib.sha256() for file in files.values()}
        try:
            for planned, trajectory, rendered in read_plan(plan):
                assert rendered is not None
                for camera, file in files.items():
                    images = torch.from_numpy(np.ascontiguousarray(getattr(rendered, camera)))
                    content = resize(images, image_size).numpy().tobytes()
                    file.write(content)
                    digests[file.name].update(content)
                sources[trajectory.source] += 1
                number = plan.tasks.index(get_task(trajectory.task))
                columns["proprio"].append(trajectory.proprio)
                columns["action"].append(trajectory.action)
                end = planned.first + planned.length
                columns["last"].append(np.full(len(trajectory), end - 1))
                columns["task"].append(np.full(len(trajectory), number))
        finally:
            for file in files.values():
                file.close()
        checksums = {Path(path).name: digest.hexdigest() for path, digest in digests.items()}
        for name, parts in columns.items():
            path = temporary / f"{name}.npy"
            np.save(path, np.concatenate(parts))
            checksums[path.name] = sha256(path)
        info = {
            "image_size": plan.size[0],
            "appearance": plan.look.appearance,
            "num_episodes": dict(sorted(sources.items())),
            "num_frames": plan.num_frames,
            "tasks": [task.id for task in plan.tasks],
            "sha256": checksums,
        }
        write_json(temporary / _INFO, info)


def check_frames(folder: Path) -> None:
    """Compares the files that ``write_frames`` has left in an earlier call with their checksums.

    Raises:
        UserError: One is damaged.
    """
    advice = _advice(folder)
    for name, expected in read_stored(folder / _INFO, _FORM, advice)["sha256"].items():
        try:
            actual = sha256(folder / name)
        except OSError as error:
            raise damaged(str(folder / name), first_line(error), advice) from None
        if actual != expected:
            raise damaged(str(folder / name), f"its SHA-256 is {actual}, not {expected}", advice)


def _advice(folder: Path) -> str:
    return f"Delete {folder}: the same command decodes the images again."


def _of_all_files(checksums: dict[str, str]) -> dict[str, str]:
    if set(checksums) != _FILES:
        raise ValueError(f"checksums of {', '.join(sorted(_FILES))} are allowed")
    return checksums


class _Info(Open):
    """What the file of a folder of frames says."""

    image_size: Number
    appearance: Appearance = UNRECORDED_APPEARANCE
    num_episodes: dict[Source, Number]
    num_frames: Number
    tasks: list[TaskId]
    sha256: Annotated[dict[str, Sha256], AfterValidator(_of_all_files)]


_FORM = object_form(_Info)


def read_frames(folder: Path, image_size: int) -> Frames:
    """Returns what ``write_frames`` wrote; images stay on disk until they are looked at.

    ``check_frames`` has found it whole.
    """
    info = read_stored(folder / _INFO, _FORM, _advice(folder))
    info.setdefault("appearance", UNRECORDED_APPEARANCE)
    shape = (info["num_frames"], image_size, image_size, 3)
    images = {
        name: np.memmap(folder / f"{name}.u8", np.uint8, "r", shape=shape) for name in CAMERAS
    }
    columns = {name: np.load(folder / f"{name}.npy") for name in ("proprio", "action", "last")}
    sentences = [get_task(task).instruction for task in info["tasks"]]
    instructions = list(dict.fromkeys(sentences))  # tasks of two suites may share one
    number = np.array([instructions.index(sentence) for sentence in sentences])
    task = np.load(folder / "task.npy")
    return Frames(images, **columns, instruction=number[task], instructions=instructions, info=info)
