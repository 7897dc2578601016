"""Where a task's objects are, and which of its goal's statements hold, all along an episode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64

from rl_datagen.config import Backend
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import Simulator, first_that_replays, load_scene, replay
from rl_datagen.tasks import get_task


@dataclass(frozen=True, eq=False)
class SceneTrack:
    """What a replay shows at ``N`` moments: before each action, and after the last one.

    Attributes:
        positions: Of each object and fixture by LIBERO's name, world frame, m.
        quaternions: Likewise, (w, x, y, z).
        goal: Whether each statement of the goal holds, such as ``"on bowl_1 plate_1"``.
    """

    positions: Mapping[str, Float64[np.ndarray, "N 3"]]
    quaternions: Mapping[str, Float64[np.ndarray, "N 4"]]
    goal: Mapping[str, Bool[np.ndarray, " N"]]


def track_scene(trajectory: Trajectory, backends: Sequence[Backend]) -> SceneTrack:
    """Replays an episode and looks at its scene.

    Args:
        trajectory: The episode.
        backends: Of its dataset; see ``Manifest``.

    Raises:
        DatasetError: It replays under none of them.
    """
    return first_that_replays(backends, partial(_track, trajectory))


def _track(trajectory: Trajectory, backend: Backend) -> SceneTrack:
    scene = load_scene(get_task(trajectory.task), backend)
    names = [part.name for part in scene.state_layout.parts if part.kind != "joint"]
    bodies = [scene.body_ids[name] for name in names]
    rows: list[tuple[np.ndarray, np.ndarray, tuple[bool, ...]]] = []

    def look(simulator: Simulator) -> None:
        data = simulator.data
        rows.append((data.xpos[bodies], data.xquat[bodies], scene.goal.holding(data)))

    simulator = None
    for simulator in replay(trajectory, scene):
        look(simulator)
    if simulator is not None:
        look(simulator)  # the last action is done now
    positions, quaternions, holds = (np.stack(column, axis=1) for column in zip(*rows, strict=True))
    statements = [" ".join(statement) for statement in scene.goal.statements]
    return SceneTrack(
        dict(zip(names, positions, strict=True)),
        dict(zip(names, quaternions, strict=True)),
        dict(zip(statements, holds, strict=True)),
    )
