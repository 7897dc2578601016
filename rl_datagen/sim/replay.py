"""Replay of a stored episode."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np

from rl_datagen.config import Backend
from rl_datagen.core.blas import on_rounding
from rl_datagen.core.errors import DatasetError
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim.scene import InitialState, Scene
from rl_datagen.sim.simulator import Simulator

Result = TypeVar("Result")


def replay(trajectory: Trajectory, scene: Scene) -> Iterator[Simulator]:
    """Steps through an episode again, and yields the simulator before each action.

    Args:
        trajectory: The episode.
        scene: Its task.

    Raises:
        DatasetError: The replay leaves the recorded states, so what it shows would not be of this
            episode.
    """
    simulator = scene.simulator()
    initial = InitialState(trajectory.init_state, trajectory.fixture_poses, None, None)
    simulator.reset(initial, trajectory.num_settle_steps)
    for step, (state, action) in enumerate(
        zip(trajectory.sim_state, trajectory.action, strict=True)
    ):
        if not np.array_equal(simulator.sim_state(), state):
            raise DatasetError(
                f"The replay of episode {trajectory.episode_id} leaves the recorded states at env "
                f"step {step}. It was recorded with other versions of MuJoCo or LIBERO, or with "
                f"another sim.backend than '{scene.backend}': install the versions its manifest "
                f"names, or set the backend it was collected with. {on_rounding()}"
            )
        yield simulator
        simulator.step(action.astype(np.float64))


def first_that_replays(
    backends: Sequence[Backend], function: Callable[[Backend], Result]
) -> Result:
    """Returns what a function finds with the first backend under which an episode replays.

    Raises:
        DatasetError: It replays under none.
    """
    *others, last = backends
    for backend in others:
        with suppress(DatasetError):
            return function(backend)
    return function(last)
