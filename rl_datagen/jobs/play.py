"""One episode of an expert, and its video."""

from pathlib import Path

import numpy as np

from rl_datagen.config import RenderConfig, SimConfig
from rl_datagen.data.images import write_video
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.jobs.render import render_episode
from rl_datagen.jobs.stored import Experts
from rl_datagen.rollout import plan_episode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task


def play(
    experts: Experts,
    task: Task,
    video: Path,
    *,
    seed: int = 0,
    init_state: int | None = None,
    image_size: int = 256,
) -> Trajectory:
    """Runs one episode of a task's expert and writes what both cameras saw.

    Args:
        experts: Where its expert is.
        task: The task.
        video: The MP4.
        seed: Of the policy, and of the init state if it is drawn.
        init_state: Shipped init state to start from; None draws a new one.
        image_size: Height and width of each camera's image, pixels.

    Raises:
        UserError: The task has no expert there, or it is damaged.
        MachineError: This machine lacks a GL library.
    """
    actor = experts.read(task).load()
    scene = load_scene(task)
    plans = [plan_episode(scene, "play", seed, 0, init_state)]
    settings = RenderConfig(num_episodes=None, image_size=image_size)
    (episode,) = rollout(
        actor, scene, plans, source="diffusion_rl", sim=SimConfig(), num_simulators=1
    )
    images = render_episode(episode, scene, settings)
    write_video(video, np.concatenate([images.agentview, images.wrist], axis=2))
    return episode
