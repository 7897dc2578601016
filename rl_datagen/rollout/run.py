"""Rollout of any policy on any task, from planned episodes to trajectories."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rl_datagen.config import Rendering, SimConfig
from rl_datagen.core.cores import num_cores
from rl_datagen.core.errors import ConfigError, PolicyError
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.rollout.plans import PlannedEpisode
from rl_datagen.sim import Episode, Scene, Simulator

Observation = dict[str, np.ndarray]


class Policy(Protocol):
    """Something that acts: an expert, an amplified demonstration, a VLA, a remote server.

    A policy that looks at cameras also has an ``image_size``, height and width in pixels: images
    are rendered for it, whenever it is asked to act and at no other time. It may have a
    ``rendering`` too, which says how; see ``sim.render``.

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


@dataclass(eq=False)
class _Running:
    """An episode in progress."""

    number: int
    plan: PlannedEpisode
    episode: Episode


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

    Raises:
        PolicyError: Actions are not finite, or of another shape.
        SimulatorError: The physics diverged.
    """
    max_steps = sim.max_episode_steps or scene.task.max_episode_steps
    free = [scene.simulator() for _ in range(num_simulators)]
    queue = enumerate(plans)
    _check_appearance(policy, scene)
    running: list[_Running] = []
    with ThreadPoolExecutor(num_threads or num_cores()) as threads:
        while True:
            while free and (item := next(queue, None)):
                (number, plan), simulator = item, free.pop()
                limit = max_steps + len(plan.opening)
                episode = Episode(
                    simulator, plan.initial, limit, num_steps_after_success, is_recorded=True
                )
                episode.start(sim.num_settle_steps)
                if len(plan.opening):
                    episode.run(plan.opening)
                each = _Running(number, plan, episode)
                if episode.is_over:  # its opening has reached the goal
                    free.append(simulator)
                    yield _trajectory(each, scene, source, sim.num_settle_steps)
                    continue
                policy.start(number, simulator, plan.seed)
                running.append(each)
            if not running:
                return
            chunks = _act(policy, running)
            list(threads.map(lambda each, chunk: each.episode.run(chunk), running, chunks))
            for ended in [each for each in running if each.episode.is_over]:
                running.remove(ended)
                free.append(ended.episode.simulator)
                yield _trajectory(ended, scene, source, sim.num_settle_steps)


def _check_appearance(policy: Policy, scene: Scene) -> None:
    """Refuses a policy that learnt from images whose textures were coloured otherwise."""
    learnt = getattr(policy, "appearance", None)
    if getattr(policy, "image_size", None) and learnt not in (None, scene.appearance):
        raise ConfigError(
            f"sim.appearance is '{scene.appearance}', but the policy learnt from images with the "
            f"appearance '{learnt}', in which textures are coloured otherwise (libero_object's "
            f"floor, for one, is dark in 'mujoco'). Give sim.appearance={learnt}, or train it anew."
        )


def _act(policy: Policy, running: list[_Running]) -> np.ndarray:
    size: int | None = getattr(policy, "image_size", None)
    look: Rendering = getattr(policy, "rendering", "exact")
    simulators = [each.episode.simulator for each in running]
    observations: list[Observation] = [
        simulator.observe() | (simulator.images(size, look) if size else {})
        for simulator in simulators
    ]
    stacked = {key: np.stack([o[key] for o in observations]) for key in observations[0]}
    actions = np.asarray(policy.act(stacked, [each.number for each in running]))
    _check_actions(actions, (len(running), policy.action_steps, 7), running)
    # The simulator executes exactly what is recorded: float32 values in [-1, 1].
    return np.clip(actions, -1, 1).astype(np.float32)


def _check_actions(
    actions: np.ndarray, shape: tuple[int, ...], running: Sequence[_Running]
) -> None:
    """Refuses what cannot be executed: counted as failures, it would look like a weak policy."""
    if actions.shape != shape or actions.dtype.kind not in "fiu":
        raise PolicyError(
            f"The policy is broken: its actions are {actions.dtype} of shape {actions.shape} where "
            f"numbers of shape {shape} are due."
        )
    if not (finite := np.isfinite(actions).all(axis=(1, 2))).all():
        plan = running[int(np.argmin(finite))].plan
        raise PolicyError(
            f"The policy is broken: an action in episode '{plan.episode_id}' (init state "
            f"{plan.initial.index}, seed {plan.seed}) is not finite. Look for NaN in its weights "
            "and in what it learnt from."
        )


_FLOAT32 = ("action", "proprio", "object_state")
_FLOAT64 = ("sim_state", "ee_pos", "ee_quat", "gripper_qpos", "joint_pos")


def _trajectory(ended: _Running, scene: Scene, source: Source, num_settle_steps: int) -> Trajectory:
    plan, episode, rows = ended.plan, ended.episode, ended.episode.rows
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
