"""N simulators of one task as a Gymnasium vector environment whose action is a chunk."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array, iterate
from jaxtyping import Float

from rl_datagen.config import Appearance, Backend, RenderBackend, Rendering
from rl_datagen.core.cores import num_cores
from rl_datagen.core.errors import SimulatorError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.sim.episode import Episode
from rl_datagen.sim.factory import load_scene
from rl_datagen.sim.scene import InitialState
from rl_datagen.sim.simulator import Simulator
from rl_datagen.sim.spaces import Mode, action_space, observation_space, observe
from rl_datagen.tasks import Task

logger = logging.getLogger(__name__)


class _State(Enum):
    """State of a slot between two calls, which decides what the next ``step`` does with it."""

    # Executes a chunk. Stays, or goes to ENDED at the goal, at the time limit or when the simulator
    # fails; the step reports which.
    RUNNING = auto()
    # Ignores the action and starts the next episode. Goes to RUNNING; stays if the simulator fails,
    # which is reported as an episode of no env steps; goes to IDLE if no episode is left to start.
    ENDED = auto()
    # Reports that ``reset`` could not start its episode, since ``reset`` itself reports no ends.
    # Goes to ENDED.
    FAILED = auto()
    # Repeats its last observation. Stays.
    IDLE = auto()
    # ``reset`` takes a slot of any state to RUNNING, FAILED or IDLE.


class _Slot:
    """One simulator, the episode it is in or begins or ended, and what it last observed."""

    def __init__(self, simulator: Simulator, observation: dict[str, np.ndarray]) -> None:
        self.simulator, self.observation = simulator, observation
        self.state = _State.ENDED
        self.episode: Episode | None = None


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
        action_steps: Env steps per action; None: one, and an action is ``[7]``.
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
            finishes is idle: it returns its last observation, reward 0 and no termination, and
            costs nothing. Whoever waits for all of them has an unbiased sample.
        num_threads: Threads; None: one per core this process may use, at most ``num_envs``.
        image_size: Height and width of the images in pixel mode.
        rendering: How they are drawn; see ``sim.render``.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        action_steps: int | None = None,
        *,
        mode: Mode = "state",
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
        rendering: Rendering = "exact",
    ) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.task, self.num_envs, self.action_steps = task, num_envs, action_steps
        self.mode: Mode = mode
        self._pool = ThreadPoolExecutor(min(num_threads or num_cores(), num_envs))
        self._slots: list[_Slot] = []
        self.scene = load_scene(task, backend, appearance, render_backend)
        self.num_errors = 0
        self._num_settle_steps = num_settle_steps
        self._max_episode_steps = max_episode_steps or task.max_episode_steps
        self._init_state_indices = None if init_state_indices is None else list(init_state_indices)
        self._seed, self._num_episodes = seed, num_episodes
        self._image_size = image_size
        self._rendering: Rendering = rendering
        self._num_started = 0
        space = observation_space(self.scene, mode, image_size)
        self.single_observation_space, self._keys = space, tuple(space)
        self.single_action_space = action_space(action_steps)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        nothing = create_empty_array(self.single_observation_space, num_envs)
        observations = iterate(self.observation_space, nothing)
        self._slots = [_Slot(self.scene.simulator(), each) for each in observations]

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
            self._assign_next(slot)
        failed = self._advance_all(np.empty((self.num_envs, 0, 7)))
        for i in np.flatnonzero(failed):
            self._slots[i].state = _State.FAILED
        return self._observations(), {}

    def step(
        self, actions: Float[np.ndarray, "N ..."]
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Executes a chunk in every simulator that is in an episode."""
        for slot in self._slots:
            if slot.state is _State.ENDED:
                self._assign_next(slot)
        ended = self._advance_all(np.asarray(actions).reshape(self.num_envs, -1, 7))
        success = np.array([bool(slot.episode and slot.episode.success) for slot in self._slots])
        infos: dict[str, Any] = {}
        for i, slot in enumerate(self._slots):
            if ended[i]:
                infos = self._add_info(infos, _episode_info(slot.episode), i)
        terminated, truncated = ended & success, ended & ~success
        return self._observations(), terminated.astype(float), terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Stops the threads and lets go of the simulators."""
        del kwargs
        self._pool.shutdown()
        self._slots.clear()

    def _assign_next(self, slot: _Slot) -> None:
        """Gives a slot its next episode; to one after the other, so that threads do not matter."""
        number = self._num_started
        if self._num_episodes is not None and number >= self._num_episodes:
            slot.state = _State.IDLE
            return
        self._num_started += 1
        slot.episode = Episode(slot.simulator, self._init_of(number), self._max_episode_steps)
        slot.state = _State.ENDED

    def _init_of(self, number: int) -> InitialState:
        """Returns where an episode starts."""
        if self._init_state_indices is None:
            return self.scene.draw_state(derive_seed(self.task.id, self._seed, number))
        index = self._init_state_indices[number % len(self._init_state_indices)]
        return self.scene.shipped_state(index)

    def _advance_all(self, actions: np.ndarray) -> np.ndarray:
        """Takes every slot through one step; returns ``[N]``: whose episode ended."""
        return np.array(list(self._pool.map(self._advance, self._slots, actions)))

    def _advance(self, slot: _Slot, actions: np.ndarray) -> bool:
        episode, state = slot.episode, slot.state
        if episode is None or state is _State.IDLE:
            return False
        if state is _State.FAILED:
            slot.state = _State.ENDED
            return True
        try:
            if state is _State.ENDED:
                episode.start(self._num_settle_steps)
            else:
                episode.run(actions)
        except SimulatorError as error:
            logger.error("simulator failed: %s", error)
            self.num_errors += 1
            slot.state, episode.error = _State.ENDED, str(error)
            return True
        slot.observation = observe(slot.simulator, self.mode, self._image_size, self._rendering)
        slot.state = _State.ENDED if episode.is_over else _State.RUNNING
        return episode.is_over

    def _observations(self) -> dict[str, np.ndarray]:
        return {
            key: np.stack([slot.observation[key] for slot in self._slots]) for key in self._keys
        }


def _episode_info(episode: Episode | None) -> dict[str, Any]:
    assert episode is not None
    index, seed = episode.init.index, episode.init.seed
    return {
        "success": episode.success,
        "num_env_steps": episode.num_steps,
        "init_state_index": -1 if index is None else index,
        "seed": -1 if seed is None else seed,
        "error": episode.error,
    }
