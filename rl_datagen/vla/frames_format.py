"""How a dataset becomes the frames that a VLA is trained on: part by part, on all cores."""

# Legend: T env steps of an episode.

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_path, sha256, write_json
from rl_datagen.data.images import RenderedEpisode, encode_image
from rl_datagen.data.schema import CAMERAS
from rl_datagen.export.episodes import Part, in_parts_of
from rl_datagen.export.job import Episodes, Receipt, run_export
from rl_datagen.export.plan import Choice, Plan, plan_export
from rl_datagen.tasks import get_task
from rl_datagen.vla.frames import COLUMNS, INFO, part_file
from rl_datagen.vla.network import resize

_MAX_PIXEL_BYTES = 8e9
"""Frames that take no more are kept as pixels, from which a CPU learns 1.3 to 1.6 times as quickly
(vla/tiny); more are kept as PNG or JPEG, which take a half or a seventh (128 x 128)."""

_MIN_PART, _MAX_PARTS = 4000, 128
"""Frames of a part, about; and so many parts at most, each of which has two open files."""


def write_frames(
    folder: Path,
    dataset: Path,
    *,
    tasks: str,
    drop_noops: bool,
    image_size: int,
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> None:
    """Writes the successful episodes of a dataset as frames; the same call resumes.

    Args:
        folder: Appears whole or not at all; if it is there already, nothing is done.
        dataset: Folder of a rendered dataset.
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops.
        image_size: Larger images are reduced to it.
        num_workers: Parts worked on at a time; None: as many as the cluster has cores.
        progress: Told of each episode.

    Raises:
        DatasetError: Nothing is selected, images are missing, or the dataset is damaged.
    """
    if folder.exists():
        return
    plan = plan_export(dataset, Choice(tasks, drop_noops=drop_noops))
    num_bytes = len(CAMERAS) * 3 * image_size**2 * plan.num_frames
    run_export(
        plan,
        folder,
        FramesFormat(image_size, encoded=num_bytes > _MAX_PIXEL_BYTES),
        num_workers=num_workers,
        progress=progress,
        stage="frames",
    )


@dataclass(frozen=True)
class FramesFormat:
    """A part is a file of images per camera; columns are written once, for all episodes.

    Attributes:
        image_size: Larger images are reduced to it.
        encoded: Keep them as PNG, or as the dataset has them if they are of this size; else pixels.
    """

    image_size: int
    encoded: bool

    def options(self) -> dict[str, Any]:
        """Returns what the files depend on besides the dataset."""
        return {"format": "frames", "image_size": self.image_size, "encoded": self.encoded}

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files."""
        return in_parts_of(plan, max(_MIN_PART, plan.num_frames / (_MAX_PARTS - 1)))

    def paths(self, part: Part) -> list[str]:
        """Returns the names of a part's files."""
        return [part_file(part.number, camera) for camera in CAMERAS]

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes a part's files."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("proprio", "action")}
        lengths: dict[str, list[int]] = {camera: [] for camera in CAMERAS}
        sources: list[str] = []
        with ExitStack() as stack:
            paths = {c: folder / part_file(part.number, c) for c in CAMERAS}
            whole = {c: stack.enter_context(atomic_path(path)) for c, path in paths.items()}
            files = {c: stack.enter_context(path.open("wb")) for c, path in whole.items()}
            for trajectory, rendered in episodes:
                assert rendered is not None
                for camera, file in files.items():
                    images = self._images(rendered, camera)
                    lengths[camera] += map(len, images)
                    file.writelines(images)
                columns["proprio"].append(trajectory.proprio)
                columns["action"].append(trajectory.action)
                sources.append(trajectory.source)
        return {
            **{name: np.concatenate(parts) for name, parts in columns.items()},
            **{f"{camera}_length": np.array(found) for camera, found in lengths.items()},
            **{f"{camera}_sha256": np.array(sha256(paths[camera])) for camera in CAMERAS},
            "source": np.array(sources),
        }

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes columns, and what describes all episodes."""
        assert plan.look is not None
        checksums = {
            part_file(part.number, camera): str(receipt[f"{camera}_sha256"])
            for part, receipt in zip(parts, receipts, strict=True)
            for camera in CAMERAS
        }
        for name, column in _columns(plan, receipts).items():
            path = folder / f"{name}.npy"
            np.save(path, column)
            checksums[path.name] = sha256(path)
        sources = Counter(str(name) for receipt in receipts for name in receipt["source"])
        info = {
            "image_size": plan.size[0],
            "appearance": plan.look.appearance,
            "num_episodes": dict(sorted(sources.items())),
            "num_frames": plan.num_frames,
            "tasks": [task.id for task in plan.tasks],
            "num_parts": len(parts),
            "encoded": self.encoded,
            "sha256": checksums,
        }
        write_json(folder / INFO, info)

    def _images(self, rendered: RenderedEpisode, camera: str) -> Sequence[bytes]:
        shown: UInt8[np.ndarray, "T H W 3"] = getattr(rendered, camera)
        if self.encoded and shown.shape[1:3] == (self.image_size, self.image_size):
            return rendered.encoded[camera]
        reduced = resize(torch.from_numpy(np.ascontiguousarray(shown)), self.image_size).numpy()
        if self.encoded:
            return [encode_image(image, "png") for image in reduced]  # nothing more is lost
        return [image.tobytes() for image in reduced]


def _columns(plan: Plan, receipts: Sequence[Receipt]) -> Mapping[str, np.ndarray]:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([receipt[name] for receipt in receipts])

    length = [each.length for each in plan.episodes]
    last = [each.first + each.length - 1 for each in plan.episodes]
    task = [plan.tasks.index(get_task(each.task)) for each in plan.episodes]
    columns = {
        "proprio": joined("proprio"),
        "action": joined("action"),
        "last": np.repeat(last, length),
        "task": np.repeat(task, length),
        **{f"{camera}_end": np.cumsum(joined(f"{camera}_length")) for camera in CAMERAS},
    }
    assert columns.keys() == set(COLUMNS)
    return columns
