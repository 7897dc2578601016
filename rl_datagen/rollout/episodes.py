"""A policy on a task in one call: what ``rl_datagen.rollout`` does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from rl_datagen.config import SimConfig
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.intervals import wilson_interval
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.rollout.plans import PlannedEpisode, plan_episode
from rl_datagen.rollout.run import Policy, rollout
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import get_task


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Episodes of a policy.

    Attributes:
        trajectories: Their records, in the order of their init states.
    """

    trajectories: list[Trajectory]

    @property
    def success(self) -> Bool[np.ndarray, " N"]:
        """Which of them reached the goal."""
        return np.array([episode.success for episode in self.trajectories])

    @property
    def success_rate(self) -> float:
        """The share that did."""
        return float(self.success.mean())

    def __repr__(self) -> str:
        count, total = int(self.success.sum()), len(self.trajectories)
        low, high = wilson_interval(count, total)
        return f"Rollouts({count} of {total} reached the goal, {low:.0%} to {high:.0%})"


def run_policy(
    policy: Policy,
    task: str | None = None,
    *,
    num_episodes: int = 10,
    init_state_indices: Sequence[int] | None = None,
    seed: int = 0,
    max_episode_steps: int | None = None,
    source: Source = "diffusion_rl",
    num_simulators: int = 8,
) -> Rollouts:
    """Runs a policy on a task.

    Args:
        policy: What acts: an expert, or anything that has what ``Policy`` asks for.
        task: Its id, such as ``"libero_goal/8"``; None: the expert's own.
        num_episodes: Episodes to run.
        init_state_indices: Shipped init states to start from, taken in turn; None: newly drawn.
        seed: Of the policy's noise and of drawn init states.
        max_episode_steps: Time limit in env steps; None takes the suite's.
        source: Recorded in each trajectory.
        num_simulators: Episodes in progress at a time.

    Raises:
        ConfigError: No such task, another than the expert's, or a wrong number of episodes.
        PolicyError: Actions are not finite, or of another shape.
        SimulatorError: The physics diverged.
    """
    learnt = getattr(policy, "task", None)
    if task is None and learnt is None:
        raise ConfigError("The policy does not say its task. Give task=..., such as libero_goal/8.")
    chosen = get_task(task or str(learnt))
    if learnt not in (None, chosen.id):
        raise ConfigError(
            f"The expert was trained for {learnt}, not for {chosen}: an expert knows one task "
            "only. Leave task out, or load the right expert."
        )
    if num_episodes < 1:
        raise ConfigError(f"num_episodes={num_episodes!r}: 1 or more are allowed.")
    scene = load_scene(chosen, appearance=getattr(policy, "appearance", None) or "original")
    plans = list(_plans(scene, num_episodes, init_state_indices, seed))
    ended = rollout(
        policy,
        scene,
        plans,
        source=source,
        sim=SimConfig(max_episode_steps=max_episode_steps),
        num_simulators=min(num_simulators, num_episodes),
    )
    done = {trajectory.episode_id: trajectory for trajectory in ended}
    return Rollouts([done[plan.episode_id] for plan in plans])


def _plans(
    scene: Scene, num_episodes: int, indices: Sequence[int] | None, seed: int
) -> Iterator[PlannedEpisode]:
    for number in range(num_episodes):
        shipped = indices[number % len(indices)] if indices else None
        yield plan_episode(scene, "rollout", seed, number, shipped)
