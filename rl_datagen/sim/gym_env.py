"""One simulator of a task as a Gymnasium environment: what ``rl_datagen.make`` returns."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import Float32, UInt8

from rl_datagen.config import Appearance, Backend, RenderBackend, Rendering
from rl_datagen.core.errors import (
    ConfigError,
    PolicyError,
    SimulatorError,
    quoted,
    shown,
)
from rl_datagen.data.trajectory import CONTROL_FREQUENCY
from rl_datagen.sim.episode import Episode
from rl_datagen.sim.factory import load_scene
from rl_datagen.sim.render import CAMERAS, Camera
from rl_datagen.sim.scene import InitialState
from rl_datagen.sim.spaces import Mode, action_space, check_choice, observation_space, observe
from rl_datagen.sim.vector_env import LiberoVectorEnv
from rl_datagen.tasks import get_task

Observation = dict[str, np.ndarray]

_OPTIONS = ("init_state_index", "init_state", "fixture_poses")


class LiberoEnv(gym.Env[Observation, np.ndarray]):
    """One simulator of a task.

    Observations and actions are those of ``sim.spaces``. Reaching the goal gives reward 1 and
    terminates; the time limit truncates, and so does a simulator that fails (``error`` in info).

    Every info has ``success``, ``instruction``, ``num_env_steps``, ``init_state_index`` (-1:
    drawn), ``seed`` (of the drawn init state; -1: none was drawn) and ``error`` (empty: none).

    Args:
        task: Its id, such as ``"libero_goal/8"``.
        render_mode: ``rgb_array``: ``render`` returns what ``camera`` sees.
        action_steps: Env steps per action, which is a chunk ``[action_steps, 7]`` then, executed
            until it or the episode ends. None: one, and an action is ``[7]``.
        mode: ``state`` or ``pixel``: observe images of both cameras too.
        image_size: Height and width of images, observed and rendered.
        camera: ``agentview`` or ``wrist``, for ``render``.
        max_episode_steps: Time limit in env steps; None takes the suite's.
        num_settle_steps: Env steps of doing nothing after a reset.
        backend: See ``load_scene``, as for the next two.
        appearance: How textures are coloured.
        render_backend: What draws images.
        rendering: How observed images are drawn: ``plain`` is what an expert with
            ``policy.rendering=plain`` looks at.

    Raises:
        ConfigError: There is no such task, mode or camera.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_FREQUENCY}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        *,
        render_mode: str | None = None,
        action_steps: int | None = None,
        mode: Mode = "state",
        image_size: int = 256,
        camera: Camera = "agentview",
        max_episode_steps: int | None = None,
        num_settle_steps: int = 10,
        backend: Backend = "exact",
        appearance: Appearance = "original",
        render_backend: RenderBackend = "culled",
        rendering: Rendering = "exact",
    ) -> None:
        check_choice("render_mode", render_mode, (None, "rgb_array"))
        check_choice("camera", camera, tuple(CAMERAS))
        self.task = get_task(task)
        self.scene = load_scene(self.task, backend, appearance, render_backend)
        self.metadata = {**self.metadata, "render_fps": CONTROL_FREQUENCY / (action_steps or 1)}
        self.observation_space = observation_space(self.scene, mode, image_size)
        self.action_space = action_space(action_steps)
        self.render_mode = render_mode
        self._mode: Mode = mode
        self._camera: Camera = camera
        self._image_size = image_size
        self._rendering: Rendering = rendering
        self._max_episode_steps = max_episode_steps or self.task.max_episode_steps
        self._num_settle_steps = num_settle_steps
        self._simulator = self.scene.simulator()
        self._episode: Episode | None = None
        self._observation: Observation = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Of newly drawn init states, from this one on.
            options: ``init_state_index``: start from that one of the task's benchmark init states;
                or ``init_state`` and ``fixture_poses`` of an episode in a dataset. Without them the
                init state is newly drawn.

        Raises:
            ConfigError: There is no such option or init state.
            SimulatorError: The physics diverged while settling.
        """
        super().reset(seed=seed)
        init = self._find_init(options or {})
        self._episode = Episode(self._simulator, init, self._max_episode_steps)
        self._episode.start(self._num_settle_steps)
        self._observation = self._observe()
        return self._observation, self._info(self._episode)

    def _observe(self) -> Observation:
        return observe(self._simulator, self._mode, self._image_size, self._rendering)

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Executes an action, or a chunk up to the episode's end.

        Raises:
            PolicyError: It has another shape, or is not finite.
        """
        episode = self._episode
        if episode is None or episode.is_over or episode.error:
            raise ResetNeeded("The episode is over or has not begun: call `env.reset()` first.")
        actions = self._check_action(action)
        try:
            episode.run(actions)
            self._observation = self._observe()
        except SimulatorError as error:
            episode.error, episode.success = str(error), False
        terminated = episode.success
        truncated = not terminated and (episode.is_over or bool(episode.error))
        return self._observation, float(terminated), terminated, truncated, self._info(episode)

    def render(self) -> UInt8[np.ndarray, "H W 3"] | None:
        """Returns what the camera sees, RGB and upright; None without a ``render_mode``.

        Raises:
            MachineError: This machine lacks a GL library.
        """
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise ResetNeeded("There is nothing to see yet: call `env.reset()` before `render()`.")
        return self._simulator.render(self._camera, self._image_size, self._image_size)

    def _find_init(self, options: Mapping[str, Any]) -> InitialState:
        for name in options:
            check_choice("options", name, _OPTIONS)
        if "init_state_index" in options:
            index = options["init_state_index"]
            if len(options) > 1 or not isinstance(index, int | np.integer):
                raise ConfigError(
                    f"options: init_state_index={quoted(index)} is a number, alone: 0 to "
                    f"{self.scene.num_init_states - 1}."
                )
            return self.scene.shipped_state(int(index))
        if not options:
            return self.scene.draw_state(int(self.np_random.integers(2**31)))
        return self._given_init(*(options.get(name) for name in _OPTIONS[1:]))

    def _given_init(self, state: Any, poses: Any) -> InitialState:
        """Returns an init state that is given as numbers."""
        wanted = self.scene.init_states.shape[1:], (len(self.scene.fixtures), 7)
        if (found := (np.shape(state), np.shape(poses))) != wanted:
            raise ConfigError(
                f"options: init_state and fixture_poses of {self.task} have the shapes {wanted[0]} "
                f"and {wanted[1]}, not {found[0]} and {found[1]}. Take both of an episode of this "
                "task, such as `Dataset(path).episodes[0]`."
            )
        return InitialState(np.array(state, np.float64), np.array(poses, np.float64))

    def _check_action(self, action: np.ndarray) -> Float32[np.ndarray, "Ta 7"]:
        """Returns what is executed, which is what a dataset would hold: float32 in [-1, 1]."""
        action = np.asarray(action)
        shape = self.action_space.shape
        if action.shape != shape or action.dtype.kind not in "fiu" or not np.isfinite(action).all():
            raise PolicyError(
                f"An action of this environment is {shape} finite numbers, not {action.dtype} of "
                f"shape {action.shape}: {shown(action.tolist())}. Chunks of another length: "
                "action_steps=... of `make`."
            )
        return np.clip(action, -1, 1).astype(np.float32).reshape(-1, 7)

    def _info(self, episode: Episode) -> dict[str, Any]:
        index, seed = episode.init.index, episode.init.seed
        return {
            "success": episode.success,
            "instruction": self.task.instruction,
            "num_env_steps": episode.num_steps,
            "init_state_index": -1 if index is None else index,
            "seed": -1 if seed is None else seed,
            "error": episode.error,
        }


def make_vector_env(task: str, num_envs: int, **settings: Any) -> LiberoVectorEnv:
    """Returns a vector environment; ``settings`` are those of ``LiberoVectorEnv``."""
    return LiberoVectorEnv(get_task(task), num_envs, **settings)
