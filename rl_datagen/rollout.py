"""Any policy on any task, from planned episodes to trajectories."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from rl_datagen.config import SimConfig
from rl_datagen.core.cores import num_cores
from rl_datagen.core.errors import ConfigError
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.sim import InitialState, Scene, Simulator

Observation = dict[str, np.ndarray]


class Policy(Protocol):
    """What acts: an expert, an amplified demonstration, a VLA, a remote server.

    A policy that looks at cameras also has an ``image_size``, height and width in pixels: images
    are rendered for it, whenever it is asked to act and at no other time.

    Attributes:
        action_steps: Actions returned by each call of ``act``.
    """

    action_steps: int

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode whose randomness derives from ``seed`` alone."""
        ...

    def act(self, observation: Observation, episodes: Sequence[int]) -> np.ndarray:
        """Returns actions ``[N, action_steps, 7]`` for ``N`` episodes' stacked observations."""
        ...


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode that is to be run.

    Attributes:
        episode_id: Unique and stable; see ``Trajectory``.
        initial: Where it starts.
        seed: Seed of the policy's randomness.
    """

    episode_id: str
    initial: InitialState
    seed: int


@dataclass
class _Running:
    """An episode in progress and what was recorded of it."""

    number: int
    plan: PlannedEpisode
    simulator: Simulator
    rows: list[dict[str, Any]] = field(default_factory=list)
    decision: int = 0
    success: bool = False
    num_steps_to_success: int | None = None  # the first time


def rollout(
    policy: Policy,
    scene: Scene,
    plans: Iterable[PlannedEpisode],
    *,
    source: Source,
    sim: SimConfig,
    num_simulators: int = 8,
    num_threads: int | None = None,
    num_steps_after_success: int = 0,
) -> Iterator[Trajectory]:
    """Runs planned episodes side by side and yields each as it ends.

    Args:
        policy: Acts for all simulators in one batch.
        scene: The task.
        plans: Episodes to run; taken from lazily, one whenever a simulator is free.
        source: Recorded in each trajectory.
        sim: Settling steps and time limit.
        num_simulators: Episodes in progress at a time.
        num_threads: Threads that step them; None: one per core of this process.
        num_steps_after_success: Env steps an episode goes on after it first succeeded, inside the
            time limit; it is a success if it is one at their end.
    """
    limit = sim.max_episode_steps or scene.task.max_episode_steps
    free = [scene.simulator() for _ in range(num_simulators)]
    queue = enumerate(plans)
    _check_appearance(policy, scene)
    running: list[_Running] = []
    with ThreadPoolExecutor(num_threads or num_cores()) as threads:
        while True:
            while free and (item := next(queue, None)):
                running.append(_start(policy, *item, free.pop(), sim.num_settle_steps))
            if not running:
                return
            chunks = _act(policy, running)
            execute = partial(_execute, limit=limit, num_after=num_steps_after_success)
            ended = list(threads.map(execute, running, chunks))
            for episode in [e for e, end in zip(running, ended, strict=True) if end]:
                running.remove(episode)
                free.append(episode.simulator)
                yield _trajectory(episode, scene, source, sim.num_settle_steps)


def _check_appearance(policy: Policy, scene: Scene) -> None:
    """Refuses a policy that learnt from images whose textures were coloured otherwise."""
    learnt = getattr(policy, "appearance", None)
    if getattr(policy, "image_size", None) and learnt not in (None, scene.appearance):
        raise ConfigError(
            f"sim.appearance is '{scene.appearance}', but the policy learnt from images with the "
            f"appearance '{learnt}', in which textures are coloured otherwise (libero_object's "
            f"floor, for one, is dark in 'mujoco'). Give sim.appearance={learnt}, or train it anew."
        )


def _start(
    policy: Policy, number: int, plan: PlannedEpisode, simulator: Simulator, num_settle_steps: int
) -> _Running:
    simulator.reset(plan.initial, num_settle_steps)
    policy.start(number, simulator, plan.seed)
    return _Running(number, plan, simulator)


def _act(policy: Policy, running: list[_Running]) -> np.ndarray:
    size: int | None = getattr(policy, "image_size", None)
    observations: list[Observation] = [
        episode.simulator.observe() | (episode.simulator.images(size) if size else {})
        for episode in running
    ]
    stacked = {key: np.stack([o[key] for o in observations]) for key in observations[0]}
    actions = policy.act(stacked, [episode.number for episode in running])
    # The simulator executes exactly what is recorded: float32 values in [-1, 1].
    return np.clip(actions, -1, 1).astype(np.float32)


def _execute(episode: _Running, actions: np.ndarray, limit: int, num_after: int) -> bool:
    """Steps one chunk; returns whether the episode is over."""
    if episode.num_steps_to_success is not None:
        limit = min(limit, episode.num_steps_to_success + num_after)
    for action in actions:
        episode.rows.append(_row(episode, action))
        episode.success = episode.simulator.step(action.astype(np.float64))
        if episode.success and episode.num_steps_to_success is None:
            episode.num_steps_to_success = len(episode.rows)
            limit = min(limit, len(episode.rows) + num_after)
        if len(episode.rows) >= limit:
            return True
    episode.decision += 1
    return False


def _row(episode: _Running, action: np.ndarray) -> dict[str, Any]:
    simulator = episode.simulator
    return {
        "sim_state": simulator.sim_state(),
        "action": action,
        **simulator.observe(),
        **simulator.robot_state(),
        "decision": episode.decision,
    }


_FLOAT32 = ("action", "proprio", "object_state")
_FLOAT64 = ("sim_state", "ee_pos", "ee_quat", "gripper_qpos", "joint_pos")


def _trajectory(
    episode: _Running, scene: Scene, source: Source, num_settle_steps: int
) -> Trajectory:
    rows, plan = episode.rows, episode.plan
    reward = np.zeros(len(rows), np.float32)
    if episode.success and episode.num_steps_to_success:
        reward[episode.num_steps_to_success - 1] = 1
    return Trajectory(
        episode_id=plan.episode_id,
        task=scene.task.id,
        source=source,
        seed=plan.seed,
        init_state_index=plan.initial.index,
        success=episode.success,
        num_settle_steps=num_settle_steps,
        init_state=plan.initial.sim_state,
        fixture_poses=plan.initial.fixture_poses,
        reward=reward,
        decision=np.array([row["decision"] for row in rows], np.int32),
        **{key: np.stack([row[key] for row in rows]).astype(np.float32) for key in _FLOAT32},
        **{key: np.stack([row[key] for row in rows]).astype(np.float64) for key in _FLOAT64},
    )
