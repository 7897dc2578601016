"""What ``import rl_datagen`` offers and no other room has: environments and experts by name."""

from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from rl_datagen.core.errors import UserError
from rl_datagen.core.paths import is_uri
from rl_datagen.policy import ChunkActor
from rl_datagen.policy import load_expert as load_local_expert
from rl_datagen.policy.hub import cached_expert
from rl_datagen.policy.release import released
from rl_datagen.runtime.hub import SCHEME
from rl_datagen.tasks import get_task
from rl_datagen.tasks.gym_ids import gym_id


def make(task: str, *, render_mode: str | None = None, **settings: Any) -> gym.Env:
    """Returns an environment of a task: ``gymnasium.make`` of its id.

    Args:
        task: Its id, such as ``"libero_goal/8"``.
        render_mode: ``"rgb_array"``: ``render()`` returns an image.
        settings: Those of ``sim.LiberoEnv``: ``action_steps``, ``mode``, ``image_size``, ...

    Raises:
        ConfigError: There is no such task, or a setting has a wrong value.
    """
    return gym.make(gym_id(get_task(task)), render_mode=render_mode, **settings)


def make_vec(task: str, num_envs: int = 8, **settings: Any) -> VectorEnv:
    """Returns a vector environment of a task, whose simulators step in threads.

    Args:
        task: Its id, such as ``"libero_goal/8"``.
        num_envs: Simulators.
        settings: Those of ``sim.LiberoVectorEnv``: ``action_steps``, ``mode``,
            ``init_state_indices``, ``num_episodes``, ...

    Raises:
        ConfigError: There is no such task, or a setting has a wrong value.
    """
    return gym.make_vec(
        gym_id(get_task(task)),
        num_envs,
        vectorization_mode="vector_entry_point",
        **settings,
    )


def load_expert(path: str | Path, *, explore: bool = False) -> ChunkActor:
    """Returns a trained expert.

    Args:
        path: Its folder (``outputs/experts/<task>/<name>``), a URI, a released expert's name
            such as ``"release/libero_goal/5"``, or ``"hf://owner/name@revision/folder"`` of the
            Hugging Face Hub, whose revision and folder may be left out.
        explore: Act with the noise of training.

    Raises:
        UserError: There is no expert, or it is damaged.
    """
    if str(path).startswith(SCHEME):
        return load_local_expert(cached_expert(str(path)), explore=explore)
    if not is_uri(str(path)):
        return load_local_expert(Path(released(str(path))).expanduser(), explore=explore)
    from rl_datagen.jobs.stored import StoredExpert, find_policy

    stored = find_policy(str(path))
    if not isinstance(stored, StoredExpert):
        raise UserError(f"'{path}' is a VLA and no expert: `rl-datagen evaluate` runs it.")
    return stored.load(explore=explore)
