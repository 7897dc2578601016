"""Replay of a stored episode into camera images."""

from collections.abc import Callable

import numpy as np

from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import Scene, replay


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
    frames = []
    for simulator in replay(trajectory, scene):
        frames.append(simulator.images(image_size))
        on_frame()
    agentview, wrist = (np.stack([f[name] for f in frames]) for name in ("agentview", "wrist"))
    return RenderedEpisode(trajectory.episode_id, agentview, wrist)
