"""Attempts until enough of them succeeded."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rl_datagen.config import ATTEMPTS_PER_SHARD, ShardsConfig, SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.rollout.plans import PlannedEpisode, plan_episode
from rl_datagen.rollout.run import Policy, rollout
from rl_datagen.sim import Scene

if TYPE_CHECKING:  # Ray, which nobody needs to run a few episodes
    from rl_datagen.runtime.executor import Tell

_MIN_WAVE = 8  # attempts run side by side, even when fewer episodes are still missing


def gather(
    policy: Policy,
    scene: Scene,
    plan: Callable[[int], PlannedEpisode],
    *,
    num_episodes: int,
    max_attempts: int,
    source: Source,
    sim: SimConfig,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
    allow_fewer: bool = False,
    keep_failed: bool = False,
    num_steps_after_success: int = 0,
) -> tuple[list[Trajectory], int]:
    """Runs attempts until ``num_episodes`` of them succeeded.

    Attempts run in waves, and the first successes in the order of the plan are kept, so that what
    is returned depends on the plan alone and not on which episode happens to end first.

    Args:
        policy: What acts.
        scene: The task.
        plan: Gives the attempt with a number, counted from 0.
        num_episodes: Successful episodes to return.
        max_attempts: Give up after this many.
        source: Recorded in each trajectory.
        sim: Settling steps and time limit.
        on_episode: Called after each attempt, in the order they end.
        allow_fewer: Return what succeeded when the attempts are used up.
        keep_failed: Return the failed attempts as well, which do not count.
        num_steps_after_success: As in ``rollout``.

    Returns:
        The successful trajectories, and how many attempts the plan had up to the last of them.

    Raises:
        UserError: Too few attempts succeeded, and fewer are not allowed.
    """
    kept: list[Trajectory] = []
    attempts = needed = successes = 0
    while successes < num_episodes:
        wave = min(max(num_episodes - successes, _MIN_WAVE), max_attempts - attempts)
        if wave <= 0 and allow_fewer:
            return kept, attempts
        if wave <= 0:
            raise UserError(
                f"Only {successes} of {attempts} {source} episodes of {scene.task.id} reached the "
                f"goal, and {num_episodes} are needed. Allow more attempts with "
                "max_attempts_per_episode, ask for fewer with num_episodes, or train the expert "
                "for longer (warm_start.num_updates, algo.num_iterations)."
            )
        plans = [plan(attempts + number) for number in range(wave)]
        done: dict[str, Trajectory] = {}
        for trajectory in rollout(
            policy,
            scene,
            plans,
            source=source,
            sim=sim,
            num_steps_after_success=num_steps_after_success,
        ):
            on_episode(trajectory)
            done[trajectory.episode_id] = trajectory
        for number, planned in enumerate(plans, attempts + 1):
            episode = done[planned.episode_id]
            if successes < num_episodes and (episode.success or keep_failed):
                kept.append(episode)
                successes += episode.success
                needed = number
        attempts += wave
    return kept, needed


def gather_shard(
    policy: Policy,
    scene: Scene,
    settings: ShardsConfig,
    shard: int,
    *,
    source: Source,
    seed: int,
    sim: SimConfig,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
) -> tuple[list[Trajectory], int]:
    """Returns the episodes of one shard, and the attempts they took.

    They depend on the arguments alone, and no two shards have an attempt in common: neither its
    random stream nor, while there are enough of them, a shipped init state.

    Args:
        policy: What acts.
        scene: The task.
        settings: How many episodes, and where they start.
        shard: The shard's number, from 0.
        source: Recorded in each trajectory.
        seed: Of the job.
        sim: Settling steps and time limit.
        on_episode: Called after each attempt, in the order they end.

    Raises:
        UserError: Too few attempts succeeded.
    """
    size = settings.shard_size(shard)

    def plan(attempt: int) -> PlannedEpisode:
        index = (attempt * settings.num_shards + shard) % scene.num_init_states
        shipped = index if settings.init_states == "shipped" else None
        return plan_episode(scene, source, seed, shard * ATTEMPTS_PER_SHARD + attempt, shipped)

    return gather(
        policy,
        scene,
        plan,
        num_episodes=size,
        max_attempts=size * settings.max_attempts_per_episode,
        source=source,
        sim=sim,
        on_episode=on_episode,
        keep_failed=settings.keep_failed,
    )


def count_attempts(tell: "Tell", num_episodes: int) -> Callable[[Trajectory], None]:
    """Returns what tells of each attempt.

    Args:
        tell: Of a unit.
        num_episodes: Successes that the unit is done with; more may come, side by side.
    """
    successes = 0

    def on_episode(episode: Trajectory) -> None:
        nonlocal successes
        successes += episode.success
        tell(
            min(successes, num_episodes),
            attempts=1,
            successes=int(episode.success),
            env_steps=len(episode),
        )

    return on_episode


def describe_attempts(counts: Mapping[str, float], seconds: float) -> str:
    """Returns success and throughput, for a progress bar."""
    if not (attempts := counts.get("attempts", 0)):
        return ""
    success = counts.get("successes", 0) / attempts
    rate = counts.get("env_steps", 0) / max(seconds, 1e-9)
    return f"{attempts:.0f} attempts, {success:.0%} succeeded, {rate:.0f} env steps/s"
