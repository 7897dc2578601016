"""Replay of a stored episode into camera images."""

from collections.abc import Callable

import numpy as np

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import InitialState, Scene


def render_episode(
    trajectory: Trajectory,
    scene: Scene,
    image_size: int,
    on_frame: Callable[[], None] = lambda: None,
) -> RenderedEpisode:
    """Steps through an episode again and looks at it with both cameras.

    Args:
        trajectory: The episode.
        scene: Its task.
        image_size: Height and width in pixels.
        on_frame: Called after each env step.

    Raises:
        DatasetError: The replay leaves the recorded states, so its images would not be of this
            episode.
    """
    simulator = scene.simulator()
    initial = InitialState(trajectory.init_state, trajectory.fixture_poses, None, None)
    simulator.reset(initial, trajectory.num_settle_steps)
    agentview, wrist = [], []
    for step, (state, action) in enumerate(
        zip(trajectory.sim_state, trajectory.action, strict=True)
    ):
        if not np.array_equal(simulator.sim_state(), state):
            raise DatasetError(
                f"The replay of episode {trajectory.episode_id} leaves the recorded states at env "
                f"step {step}. It was recorded with other versions of MuJoCo or LIBERO, or with "
                f"another sim.backend than '{scene.backend}': install the versions its manifest "
                "names, or set the backend it was collected with."
            )
        agentview.append(simulator.render("agentview", image_size, image_size))
        wrist.append(simulator.render("wrist", image_size, image_size))
        simulator.step(action.astype(np.float64))
        on_frame()
    return RenderedEpisode(trajectory.episode_id, np.stack(agentview), np.stack(wrist))
