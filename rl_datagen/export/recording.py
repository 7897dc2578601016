"""One episode as a recording of rerun, to step through in its viewer: ``rerun EPISODE.rrd``.

::

    cameras/agentview  cameras/wrist       images as they are stored
    world/hand  world/path                 pose of the hand, and its whole path
    world/objects/<name>                   pose of each object and fixture
    actions/<dimension>  proprio/<number>  what the policy did, and what it felt
    success  goal/<statement>              whether the goal is reached, and each part of it
    about                                  what the episode is, and what is left out and why

On the timelines ``step`` (env steps) and ``time`` (s). Objects and goal come from a replay, which
the simulator has to be there for; they have one more frame, after the last action.
"""

# rerun is an extra that not everybody has.
# pyright: reportMissingImports=false

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.dataset import (
    check_episodes,
    read_encoded_images,
    read_episodes,
    read_trajectories,
    rendered_episodes,
)
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.tasks import get_task

if TYPE_CHECKING:
    from rl_datagen.export.scene_track import SceneTrack

ACTIONS = ("x", "y", "z", "rx", "ry", "rz", "gripper")
PROPRIO = ("x", "y", "z", "rx", "ry", "rz", "finger_left", "finger_right")


@dataclass(frozen=True)
class Recording:
    """A recording that was written.

    Attributes:
        path: The file.
        episode_id: The episode.
        num_steps: Its env steps.
        left_out: A sentence for each part that it lacks.
    """

    path: Path
    episode_id: str
    num_steps: int
    left_out: tuple[str, ...]


def first_episode(dataset: Path) -> str:
    """Returns the first episode that has images, or the first one.

    Raises:
        DatasetError: There is none, or the dataset is damaged.
    """
    names = rendered_episodes(dataset) or read_episodes(dataset)["episode_id"].to_pylist()
    if not names:
        raise DatasetError(f"{dataset} holds no episode yet, so there is none to look at.")
    return names[0]


def write_recording(dataset: Path, episode_id: str, path: Path) -> Recording:
    """Writes an episode as a recording of rerun.

    Args:
        dataset: The dataset's folder.
        episode_id: Which episode.
        path: The file, ``*.rrd``; replaced if it is there.

    Raises:
        DatasetError: The episode is unknown, or the dataset is damaged.
    """
    check_episodes(dataset, [episode_id])
    (episode,) = read_trajectories(dataset, episode_ids=[episode_id])
    images = read_encoded_images(dataset, episode_id)
    left_out: list[str] = []
    track = _track(dataset, episode, left_out)
    if images is None:
        left_out.append(
            f"No camera images: the episode is not rendered. `rl-datagen dataset render {dataset}` "
            "renders it."
        )
    with atomic_path(path) as temporary:
        stream = rr.RecordingStream("rl_datagen", recording_id=f"{dataset.name}/{episode_id}")
        with stream:
            stream.save(temporary, default_blueprint=_blueprint(images is not None, track))
            _log_robot(stream, episode)
            if images is not None:
                _log_cameras(stream, images)
            if track is not None:
                _log_scene(stream, track)
            about = rr.TextDocument(_about(episode, left_out), media_type="text/markdown")
            stream.log("about", about, static=True)
        stream.disconnect()
    return Recording(path, episode_id, len(episode), tuple(left_out))


def _track(dataset: Path, episode: Trajectory, left_out: list[str]) -> "SceneTrack | None":
    """Returns what a replay shows; notes why there is none."""
    try:
        from rl_datagen.export.scene_track import track_scene

        return track_scene(episode, read_manifest(dataset).backends)
    except ModuleNotFoundError as error:
        left_out.append(
            f"No objects and no goal: they come from a replay, which needs {error.name}; the extra "
            "[sim] brings it."
        )
    except DatasetError as error:
        left_out.append(f"No objects and no goal. {error}")
    return None


def _times(length: int) -> list[Any]:
    steps = np.arange(length)
    return [
        rr.TimeColumn("step", sequence=steps),
        rr.TimeColumn("time", duration=steps / CONTROL_FREQUENCY),
    ]


def _log_series(stream: Any, path: str, values: np.ndarray) -> None:
    """Logs a number per env step under its name in the path."""
    name = path.rpartition("/")[2].replace("\\", "")
    stream.log(path, rr.SeriesLines(names=[name]), static=True)
    columns = rr.Scalars.columns(scalars=np.asarray(values, np.float64))
    stream.send_columns(path, _times(len(values)), columns)


def _log_robot(stream: Any, episode: Trajectory) -> None:
    for names, folder, values in (
        (ACTIONS, "actions", episode.action),
        (PROPRIO, "proprio", episode.proprio),
    ):
        for name, column in zip(names, values.T, strict=True):
            _log_series(stream, f"{folder}/{name}", column)
    _log_series(stream, "success", np.maximum.accumulate(episode.reward))
    stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    stream.log("world/path", rr.LineStrips3D([episode.ee_pos]), static=True)
    stream.log("world/hand", rr.TransformAxes3D(0.1), static=True)
    pose = rr.Transform3D.columns(translation=episode.ee_pos, quaternion=episode.ee_quat)
    stream.send_columns("world/hand", _times(len(episode)), pose)


def _log_cameras(stream: Any, images: Any) -> None:
    for camera in CAMERAS:
        blobs = images[camera].to_pylist()
        kind = "image/png" if blobs[0].startswith(b"\x89PNG") else "image/jpeg"
        columns = rr.EncodedImage.columns(blob=blobs, media_type=[kind] * len(blobs))
        stream.send_columns(f"cameras/{camera}", _times(len(blobs)), columns)


def _log_scene(stream: Any, track: "SceneTrack") -> None:
    for name, positions in track.positions.items():
        path = f"world/objects/{rr.escape_entity_path_part(name)}"
        stream.log(path, rr.Points3D([[0, 0, 0]], radii=0.015, labels=[name]), static=True)
        quaternions = np.roll(track.quaternions[name], -1, axis=1)  # to (x, y, z, w)
        pose = rr.Transform3D.columns(translation=positions, quaternion=quaternions)
        stream.send_columns(path, _times(len(positions)), pose)
    for statement, holds in track.goal.items():
        _log_series(stream, f"goal/{rr.escape_entity_path_part(statement)}", holds)


def _blueprint(has_images: bool, track: "SceneTrack | None") -> Any:
    cameras = [rrb.Spatial2DView(origin=f"cameras/{c}", name=c) for c in CAMERAS if has_images]
    success = ["success", *(["goal/**"] if track else [])]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(rrb.Spatial3DView(origin="world"), *cameras),
            rrb.Vertical(
                rrb.TimeSeriesView(contents=success, name="success and goal"),
                rrb.TimeSeriesView(origin="actions"),
                rrb.TimeSeriesView(origin="proprio"),
                rrb.TextDocumentView(origin="about"),
            ),
        ),
        collapse_panels=True,
    )


def _about(episode: Trajectory, left_out: list[str]) -> str:
    start = "newly drawn" if episode.init_state_index is None else episode.init_state_index
    lines = [
        f"# {get_task(episode.task).instruction}",
        f"`{episode.task}`, episode `{episode.episode_id}` of source {episode.source}",
        f"{len(episode)} env steps, {'a success' if episode.success else 'a failure'}; "
        f"init state: {start}; seed {episode.seed}",
        *left_out,
    ]
    return "\n\n".join(lines) + "\n"
