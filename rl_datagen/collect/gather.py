"""Attempts until enough of them succeeded."""

from collections.abc import Callable

from rl_datagen.config import SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.rollout import PlannedEpisode, Policy, rollout
from rl_datagen.sim import Scene

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

    Returns:
        The successful trajectories, and how many attempts the plan had up to the last of them.

    Raises:
        UserError: Too few attempts succeeded, and fewer are not allowed.
    """
    kept: list[Trajectory] = []
    attempts = needed = 0
    while len(kept) < num_episodes:
        wave = min(max(num_episodes - len(kept), _MIN_WAVE), max_attempts - attempts)
        if wave <= 0 and allow_fewer:
            return kept, attempts
        if wave <= 0:
            raise UserError(
                f"Only {len(kept)} of {attempts} {source} episodes of {scene.task.id} reached the "
                f"goal, and {num_episodes} are needed. Allow more attempts with "
                "max_attempts_per_episode, ask for fewer with num_episodes, or train the expert "
                "for longer (warm_start.num_updates, algo.num_iterations)."
            )
        plans = [plan(attempts + number) for number in range(wave)]
        done: dict[str, Trajectory] = {}
        for trajectory in rollout(policy, scene, plans, source=source, sim=sim):
            on_episode(trajectory)
            done[trajectory.episode_id] = trajectory
        for number, planned in enumerate(plans, attempts + 1):
            if len(kept) < num_episodes and done[planned.episode_id].success:
                kept.append(done[planned.episode_id])
                needed = number
        attempts += wave
    return kept, needed


def plan_episode(
    scene: Scene, source: str, seed: int, number: int, shipped: int | None
) -> PlannedEpisode:
    """Returns episode ``number`` of a source.

    Args:
        scene: The task.
        source: Whose stream of randomness it takes; names the episode, too.
        seed: Of the run.
        number: Of the episode in that stream.
        shipped: The shipped init state it starts from; None: from a newly drawn one.
    """
    task = scene.task
    episode_seed = derive_seed(seed, source, task.id, number)
    initial = scene.draw_state(episode_seed) if shipped is None else scene.shipped_state(shipped)
    name = f"{task.suite}-{task.index}-{source}-{seed}-{number:05d}"
    return PlannedEpisode(name, initial, episode_seed)
