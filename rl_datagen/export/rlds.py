"""A dataset in RLDS, as tensorflow-datasets reads it and OpenVLA trains on it.

Names and types are those of OpenVLA's LIBERO datasets. Both cameras are turned by 180 degrees
against LIBERO's frames; the gripper command stays -1 open, +1 close, which OpenVLA's own training
transform maps. What was rendered besides has its own names (``rlds_views.py``). TensorFlow is not
needed to write it (docs/decisions/0009-rlds-by-hand.md).
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
from rl_datagen.export.orientation import mirrored
from rl_datagen.export.plan import Choice, Exported, Look, Plan
from rl_datagen.export.rlds_views import (
    PACKAGE,
    image_info,
    tensor_info,
    view_infos,
    view_values,
)
from rl_datagen.export.tfrecord import Values, example, write_record
from rl_datagen.tasks import get_task

VERSION = "1.0.0"
_SHARD_MB = 128  # of a file, about: an episode that begins beyond it begins a new one


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
    choice = Choice(tasks, drop_noops=drop_noops, rendered_only=rendered_only, views=True)
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
        assert plan.look is not None
        write_json(folder / VERSION / "dataset_info.json", info)
        write_json(folder / VERSION / "features.json", _feature_info(plan.look))


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
        **{f"steps/observation/{name}": v for name, v in view_values(rendered).items()},
    }


def _feature_info(look: Look) -> dict[str, Any]:
    """Returns what tensorflow-datasets stores about the features in features.json."""
    text = {"pythonClassName": f"{PACKAGE}text_feature.Text", "text": {}}
    observation = {
        "image": image_info(look.size),
        "wrist_image": image_info(look.size),
        "state": tensor_info("float32", 8),
        "joint_state": tensor_info("float32", 7),
        **view_infos(look.views, look.size),
    }
    steps = {
        "observation": _features_dict(observation),
        "action": tensor_info("float32", 7),
        "discount": tensor_info("float32"),
        "reward": tensor_info("float32"),
        "is_first": tensor_info("bool"),
        "is_last": tensor_info("bool"),
        "is_terminal": tensor_info("bool"),
        "language_instruction": text,
    }
    sequence = {"feature": _features_dict(steps), "length": "-1"}
    return _features_dict(
        {
            "steps": {
                "pythonClassName": f"{PACKAGE}dataset_feature.Dataset",
                "sequence": sequence,
            },
            "episode_metadata": _features_dict({"file_path": text}),
        }
    )


def _features_dict(features: dict[str, Any]) -> dict[str, Any]:
    kind = f"{PACKAGE}features_dict.FeaturesDict"
    return {"pythonClassName": kind, "featuresDict": {"features": features}}
