"""The fast simulator inside ``lerobot-eval``: a plugin that lerobot imports.

``lerobot-eval --env.discover_packages_path=rl_datagen.lerobot --env.type=rl_datagen ...`` takes the
options of lerobot's own ``--env.type=libero`` and gives its observations.
"""

# lerobot is no requirement of this package: it imports this module, which nothing else does.
# pyright: reportMissingImports=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from rl_datagen.core.errors import ConfigError, quoted
from rl_datagen.libero import OffScreenRenderEnv
from rl_datagen.sim.libero import bddl_path, load_init_states
from rl_datagen.sim.spaces import check_choice
from rl_datagen.tasks import Task, select_tasks

# After this package's simulator, which imports LIBERO without a GL library.
from lerobot.envs.configs import EnvConfig  # isort: skip
from lerobot.envs.configs import LiberoEnv as LiberoConfig  # isort: skip
from lerobot.envs.libero import LiberoEnv, _get_suite  # isort: skip
from lerobot.envs.utils import _LazyAsyncVectorEnv, freeze_after_episode_end  # isort: skip


@EnvConfig.register_subclass("rl_datagen")
@dataclass
class FastLiberoConfig(LiberoConfig):
    """lerobot's settings of LIBERO, and how textures are coloured (``sim.appearance``)."""

    appearance: str = "original"

    def __post_init__(self) -> None:
        """Refuses what the fast simulator does not do.

        Raises:
            ConfigError: Absolute actions, another rate than 20 Hz, or LIBERO-plus.
        """
        super().__post_init__()
        fixed = {"control_mode": "relative", "fps": 20, "is_libero_plus": False}
        for name, value in fixed.items():
            if getattr(self, name) != value:
                raise ConfigError(
                    f"env.{name}={quoted(getattr(self, name))}: with env.type=rl_datagen it is "
                    f"always {value}. Use --env.type=libero, LIBERO's own environment."
                )
        check_choice("env.appearance", self.appearance, ("original", "mujoco"))

    def create_envs(
        self, n_envs: int, use_async_envs: bool = False
    ) -> dict[str, dict[int, VectorEnv]]:
        """Returns a vector environment of each selected task, by suite and index."""
        vectorize = _in_processes if use_async_envs and n_envs > 1 else _in_this_process
        vectors: dict[str, dict[int, VectorEnv]] = {}
        for task in select_tasks(self.task):
            if self.task_ids is None or task.index in self.task_ids:
                makers = [partial(FastLiberoEnv, self, task, i, n_envs) for i in range(n_envs)]
                vectors.setdefault(task.suite, {})[task.index] = vectorize(makers)
        if not vectors:
            raise ConfigError(
                f"env.task={quoted(self.task)} has no task with a number of "
                f"env.task_ids={self.task_ids}: `rl-datagen tasks` lists them."
            )
        return vectors


class FastLiberoEnv(LiberoEnv):
    """lerobot's environment of a LIBERO task around the fast simulator."""

    def __init__(self, config: FastLiberoConfig, task: Task, index: int, num_envs: int) -> None:
        settings = dict(config.gym_kwargs)
        settings.pop("task_ids", None)
        # The init states come with LIBERO here, in another format than lerobot reads.
        super().__init__(
            _get_suite(task.suite),
            task.index,
            task.suite,
            episode_length=config.episode_length,
            camera_name=config.camera_name,
            camera_name_mapping=config.camera_name_mapping,
            episode_index=index,
            n_envs=num_envs,
            init_states=False,
            **{**settings, "hard_reset": True},
        )
        self.init_states = config.init_states
        self._appearance: Any = config.appearance
        self._of = task

    def _ensure_env(self) -> None:
        if self._env is None:
            self._init_states = load_init_states(self._of)
            self._env: Any = OffScreenRenderEnv(
                bddl_file_name=str(bddl_path(self._of)),
                camera_heights=self.observation_height,
                camera_widths=self.observation_width,
                camera_names=[name.removesuffix("_image") for name in self.camera_name],
                appearance=self._appearance,
            )
            self._env.reset()


def _in_this_process(makers: Sequence[Callable[[], gym.Env]]) -> VectorEnv:
    """One after the other; an environment whose episode is over waits for the others."""
    frozen = [freeze_after_episode_end(make) for make in makers]
    return SyncVectorEnv(frozen, autoreset_mode=AutoresetMode.NEXT_STEP)


def _in_processes(makers: Sequence[Callable[[], gym.Env]]) -> Any:
    """A process for each, once it is used."""
    return _LazyAsyncVectorEnv(makers)
