"""A dataset in RLDS, as tensorflow-datasets reads it and OpenVLA trains on it.

Names and types are those of OpenVLA's LIBERO datasets. Both cameras are turned by 180 degrees
against LIBERO's frames; the gripper command stays -1 open, +1 close, which OpenVLA's own training
transform maps. TensorFlow is not needed to write it (docs/decisions/0009-rlds-by-hand.md).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_path, write_json
from rl_datagen.data.images import RenderedEpisode, encode_image
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.export.episodes import Part, in_parts_of
from rl_datagen.export.job import Episodes, Receipt, prepare_export, run_export
from rl_datagen.export.lerobot_layout import mirrored
from rl_datagen.export.plan import Choice, Exported, Plan
from rl_datagen.export.tfrecord import Values, example, write_record
from rl_datagen.tasks import get_task

VERSION = "1.0.0"
_SHARD_MB = 128  # of a file, about: an episode that begins beyond it begins a new one
_PACKAGE = "tensorflow_datasets.core.features."


def export_rlds(
    dataset: Path,
    out: Path,
    *,
    tasks: str = "all",
    drop_noops: bool = False,
    rendered_only: bool = False,
    num_workers: int | None = None,
    prepare: Callable[[], None] | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Writes ``out/1.0.0``, which appears whole or not at all; the same call resumes.

    Args:
        dataset: Folder of the dataset.
        out: Folder that does not exist yet; its name is the name of the dataset.
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops.
        rendered_only: Leave out episodes without images.
        num_workers: Parts worked on at a time; None: as many as the cluster has cores.
        prepare: Called before the dataset is read, once the options are known to be right; such as
            to render.
        progress: Told of each episode.

    Raises:
        UserError: ``out`` exists, its name cannot name a dataset, or another export was interrupted
            there.
        DatasetError: Nothing to export, images are missing, or the dataset is damaged.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", out.name):
        raise UserError(
            f"'{out.name}' cannot name a dataset of tensorflow-datasets, which finds it by its "
            "folder's name: use lower-case letters, digits and _, such as libero_goal_rl."
        )
    choice = Choice(tasks, drop_noops=drop_noops, rendered_only=rendered_only)
    plan = prepare_export(dataset, out, choice, prepare)
    return run_export(plan, out, Rlds(out.name), num_workers=num_workers, progress=progress)


@dataclass(frozen=True)
class Rlds:
    """RLDS; a part is a TFRecord file.

    Attributes:
        name: Of the dataset.
    """

    name: str

    def options(self) -> dict[str, Any]:
        """Returns what the files depend on besides the dataset."""
        return {"format": "RLDS", "version": VERSION}

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files."""
        assert plan.look is not None
        return in_parts_of(plan, _SHARD_MB * 2**20 / plan.look.num_jpeg_bytes)

    def paths(self, part: Part) -> list[str]:
        """Returns the name of a part's file."""
        place = f"{part.number:05d}-of-{part.num_parts:05d}"
        return [f"{VERSION}/{self.name}-train.tfrecord-{place}"]

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes a part's file."""
        num_bytes = 0
        (path,) = self.paths(part)
        with atomic_path(folder / path) as temporary, temporary.open("wb") as file:
            for trajectory, rendered in episodes:
                assert rendered is not None
                data = example(_features(trajectory, rendered))
                write_record(file, data)
                num_bytes += len(data)
        return {"num_bytes": np.array(num_bytes)}

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes what describes all episodes."""
        split = {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": "train",
            "numBytes": str(sum(int(receipt["num_bytes"]) for receipt in receipts)),
            "shardLengths": [str(len(part.episodes)) for part in parts],
        }
        info = {"fileFormat": "tfrecord", "name": self.name, "splits": [split], "version": VERSION}
        write_json(folder / VERSION / "dataset_info.json", info)
        write_json(folder / VERSION / "features.json", _feature_info(plan.size))


def _features(episode: Trajectory, rendered: RenderedEpisode) -> dict[str, Values]:
    frames = np.arange(len(episode))
    last = frames == len(episode) - 1
    instruction = get_task(episode.task).instruction.encode()
    images = {"image": rendered.agentview, "wrist_image": rendered.wrist}
    return {
        "episode_metadata/file_path": [episode.episode_id.encode()],
        "steps/action": episode.action,
        "steps/discount": np.ones(len(episode), np.float32),
        "steps/is_first": frames == 0,
        "steps/is_last": last,
        "steps/is_terminal": last,
        "steps/language_instruction": [instruction] * len(episode),
        "steps/observation/joint_state": episode.joint_pos,
        "steps/observation/state": episode.proprio,
        "steps/reward": last.astype(np.float32),
        **{
            f"steps/observation/{name}": [encode_image(i, "jpeg") for i in mirrored(values)]
            for name, values in images.items()
        },
    }


def _feature_info(size: tuple[int, int]) -> dict[str, Any]:
    """Returns what tensorflow-datasets stores about the features in features.json."""
    text = {"pythonClassName": f"{_PACKAGE}text_feature.Text", "text": {}}
    observation = {
        "image": _image(size),
        "wrist_image": _image(size),
        "state": _tensor("float32", 8),
        "joint_state": _tensor("float32", 7),
    }
    steps = {
        "observation": _features_dict(observation),
        "action": _tensor("float32", 7),
        "discount": _tensor("float32"),
        "reward": _tensor("float32"),
        "is_first": _tensor("bool"),
        "is_last": _tensor("bool"),
        "is_terminal": _tensor("bool"),
        "language_instruction": text,
    }
    sequence = {"feature": _features_dict(steps), "length": "-1"}
    return _features_dict(
        {
            "steps": {
                "pythonClassName": f"{_PACKAGE}dataset_feature.Dataset",
                "sequence": sequence,
            },
            "episode_metadata": _features_dict({"file_path": text}),
        }
    )


def _features_dict(features: dict[str, Any]) -> dict[str, Any]:
    kind = f"{_PACKAGE}features_dict.FeaturesDict"
    return {"pythonClassName": kind, "featuresDict": {"features": features}}


def _tensor(dtype: str, width: int | None = None) -> dict[str, Any]:
    kind = "scalar.Scalar" if width is None else "tensor_feature.Tensor"
    shape = {} if width is None else {"dimensions": [str(width)]}
    tensor = {"dtype": dtype, "encoding": "none", "shape": shape}
    return {"pythonClassName": _PACKAGE + kind, "tensor": tensor}


def _image(size: tuple[int, int]) -> dict[str, Any]:
    shape = {"dimensions": [str(size[0]), str(size[1]), "3"]}
    image = {"dtype": "uint8", "encodingFormat": "jpeg", "shape": shape}
    return {"pythonClassName": f"{_PACKAGE}image_feature.Image", "image": image}
