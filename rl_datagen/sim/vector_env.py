"""N simulators of one task as a Gymnasium vector environment whose action is a chunk."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Float

from rl_datagen.config import Appearance, Backend, RenderBackend
from rl_datagen.core.cores import num_cores
from rl_datagen.core.errors import SimulatorError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.sim.factory import load_scene
from rl_datagen.sim.render import CAMERAS
from rl_datagen.sim.scene import InitialState
from rl_datagen.sim.simulator import Simulator
from rl_datagen.tasks import Task

logger = logging.getLogger(__name__)


class _Slot:
    """One simulator and the episode it is in."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.init: InitialState | None = None
        self.num_env_steps = 0
        self.needs_reset = False
        self.parked = False
        self.error = ""
        self.observation: dict[str, np.ndarray] = {}


class LiberoVectorEnv(VectorEnv):
    """Simulators of one task on one shared model, stepped in threads.

    An action is a chunk ``[action_steps, 7]``, executed until it ends, the goal is reached
    (reward 1, terminated), the time limit is met (truncated) or the simulator fails (truncated,
    ``error`` in the infos, logged, counted in ``num_errors``). A finished simulator starts its
    next episode at the next step (``AutoresetMode.NEXT_STEP``), which ignores its action.

    The infos of a step hold, for each simulator that finished, ``success``, ``num_env_steps``,
    ``init_state_index`` (-1: drawn), ``seed`` (-1: shipped) and ``error`` (empty: none), with
    masks ``_success`` and so on.

    Args:
        task: The task.
        num_envs: Simulators.
        action_steps: Env steps per action.
        mode: ``state``: observe ``proprio`` and ``object_state``; ``pixel``: uint8 images of both
            cameras too, rendered once per action. The state is for the critic then.
        backend: See ``load_scene``, as for the next two.
        appearance: How textures are coloured.
        render_backend: What draws images.
        num_settle_steps: Env steps of doing nothing after a reset.
        max_episode_steps: Time limit in env steps; None takes the task's.
        init_state_indices: Shipped init states, taken in turn; None: newly drawn states.
        seed: Seed of the drawn states; ``reset(seed=...)`` replaces it.
        num_episodes: After this many episodes were started since ``reset``, a simulator that
            finishes parks: it returns its last observation, reward 0 and no termination, and
            costs nothing. Whoever waits for all of them has an unbiased sample.
        num_threads: Threads; None: one per core this process may use, at most ``num_envs``.
        image_size: Height and width of the images in pixel mode.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        action_steps: int,
        *,
        mode: Literal["state", "pixel"] = "state",
        backend: Backend = "exact",
        appearance: Appearance = "original",
        render_backend: RenderBackend = "culled",
        num_settle_steps: int = 10,
        max_episode_steps: int | None = None,
        init_state_indices: Sequence[int] | None = None,
        seed: int = 0,
        num_episodes: int | None = None,
        num_threads: int | None = None,
        image_size: int = 96,
    ) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.task, self.num_envs, self.action_steps, self.mode = task, num_envs, action_steps, mode
        self.scene = load_scene(task, backend, appearance, render_backend)
        self.num_errors = 0
        self._num_settle_steps = num_settle_steps
        self._max_episode_steps = max_episode_steps or task.max_episode_steps
        self._init_state_indices = None if init_state_indices is None else list(init_state_indices)
        self._seed, self._num_episodes, self._image_size = seed, num_episodes, image_size
        self._num_started = 0
        self._slots = [_Slot(self.scene.simulator()) for _ in range(num_envs)]
        cores = num_cores()
        self._pool = ThreadPoolExecutor(min(num_threads or cores, num_envs))
        self._spaces = self._observation_spaces()
        self.single_observation_space = gym.spaces.Dict(self._spaces)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (action_steps, 7), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode in every simulator and returns the observations.

        Args:
            seed: Replaces the seed of the drawn states; a list is combined into one.
            options: None are known.
        """
        del options
        if seed is not None:
            self._seed = seed if isinstance(seed, int) else derive_seed(*map(str, seed))
        self._num_started = 0
        for slot in self._slots:
            slot.parked = False
            slot.init = self._next_init()
        self._map(self._start_surely, range(self.num_envs))
        return self._observations(), {}

    def step(
        self, actions: Float[np.ndarray, "N Ta 7"]
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Executes a chunk in every simulator that is in an episode."""
        actions = np.asarray(actions)
        for slot in self._slots:
            if slot.needs_reset and not slot.error:
                # Chosen here and in order, so that threads do not matter.
                slot.init = self._next_init()
                slot.parked = slot.init is None
        outcomes = self._map(self._advance, range(self.num_envs), actions)
        rewards = np.array([float(outcome[0]) for outcome in outcomes])
        terminated = np.array([outcome[0] for outcome in outcomes])
        truncated = np.array([outcome[1] for outcome in outcomes])
        infos: dict[str, Any] = {}
        for i, outcome in enumerate(outcomes):
            if outcome[0] or outcome[1]:
                infos = self._add_info(infos, self._episode_info(i, outcome[0], outcome[2]), i)
        return self._observations(), rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Stops the threads and lets go of the simulators."""
        del kwargs
        self._pool.shutdown()
        self._slots.clear()

    def _next_init(self) -> InitialState | None:
        """Returns where the next episode starts; None: the cohort is complete."""
        number = self._num_started
        if self._num_episodes is not None and number >= self._num_episodes:
            return None
        self._num_started += 1
        if self._init_state_indices is None:
            return self.scene.draw_state(derive_seed(self.task.id, self._seed, number))
        index = self._init_state_indices[number % len(self._init_state_indices)]
        return self.scene.shipped_state(index)

    def _advance(self, i: int, actions: np.ndarray) -> tuple[bool, bool, str]:
        """Runs simulator ``i`` for one action; returns reached, truncated, error."""
        slot = self._slots[i]
        if slot.parked:
            return False, False, ""
        if slot.error:
            error, slot.error = slot.error, ""
            return False, True, error
        try:
            if slot.needs_reset:
                self._start(slot)
                return False, False, ""
            reached = self._run_chunk(slot, actions)
        except SimulatorError as error:
            return False, True, self._failed(slot, error)
        slot.observation = self._observe(slot.simulator)
        late = not reached and slot.num_env_steps >= self._max_episode_steps
        slot.needs_reset = reached or late
        return reached, late, ""

    def _run_chunk(self, slot: _Slot, actions: np.ndarray) -> bool:
        for action in actions[: self._max_episode_steps - slot.num_env_steps]:
            slot.num_env_steps += 1
            if slot.simulator.step(action):
                return True
        return False

    def _start(self, slot: _Slot) -> None:
        assert slot.init is not None
        slot.num_env_steps, slot.needs_reset = 0, False
        slot.simulator.reset(slot.init, self._num_settle_steps)
        slot.observation = self._observe(slot.simulator)

    def _start_surely(self, i: int) -> None:
        """Starts an episode, or parks a simulator that the cohort does not need."""
        slot = self._slots[i]
        slot.error, slot.parked, slot.needs_reset = "", slot.init is None, False
        if not slot.observation:
            slot.observation = {
                key: np.zeros(space.shape or (), space.dtype) for key, space in self._spaces.items()
            }
        if slot.init is not None:
            try:
                self._start(slot)
            except SimulatorError as error:  # reported by the next step, as any other
                slot.error = self._failed(slot, error)

    def _failed(self, slot: _Slot, error: SimulatorError) -> str:
        """Ends the episode of a simulator that failed, and returns what went wrong."""
        self.num_errors += 1
        slot.needs_reset = True
        logger.error("simulator failed: %s", error)
        return str(error)

    def _episode_info(self, i: int, success: bool, error: str) -> dict[str, Any]:
        slot = self._slots[i]
        assert slot.init is not None
        return {
            "success": success,
            "num_env_steps": slot.num_env_steps,
            "init_state_index": -1 if slot.init.index is None else slot.init.index,
            "seed": -1 if slot.init.seed is None else slot.init.seed,
            "error": error,
        }

    def _observation_spaces(self) -> dict[str, gym.Space]:
        def numbers(size: int) -> gym.spaces.Box:
            return gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)

        size = self.scene.state_layout.size
        spaces: dict[str, gym.Space] = {"proprio": numbers(8), "object_state": numbers(size)}
        if self.mode == "pixel":
            shape = (self._image_size, self._image_size, 3)
            spaces |= {name: gym.spaces.Box(0, 255, shape, np.uint8) for name in CAMERAS}
        return spaces

    def _observe(self, simulator: Simulator) -> dict[str, np.ndarray]:
        if self.mode == "state":
            return simulator.observe()
        return simulator.observe() | simulator.images(self._image_size)

    def _observations(self) -> dict[str, np.ndarray]:
        return {
            key: np.stack([slot.observation[key] for slot in self._slots]) for key in self._spaces
        }

    def _map(self, function: Any, *arguments: Any) -> list[Any]:
        return list(self._pool.map(function, *arguments))
