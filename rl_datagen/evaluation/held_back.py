"""One policy on one task, from the init states that its training has never seen."""

import time
from collections.abc import Callable
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.evaluation.results import EvaluatedEpisode, Evaluation, summarise, write_results
from rl_datagen.rollout import PlannedEpisode, Policy, rollout
from rl_datagen.sim import Scene


def held_back_indices(scene: Scene, config: Config) -> range:
    """Returns the shipped init states that only evaluations may start from: the last ones."""
    return range(scene.num_init_states - config.evaluation.num_episodes, scene.num_init_states)


def plan(scene: Scene, seed: int, index: int) -> PlannedEpisode:
    """Returns the evaluated episode that starts from a shipped init state.

    Args:
        scene: The task.
        seed: Of the evaluation.
        index: Of the init state.
    """
    return PlannedEpisode(
        f"evaluation-{index}",
        scene.shipped_state(index),
        derive_seed(seed, "evaluation", scene.task.id, index),
    )


def evaluate(
    policy: Policy,
    scene: Scene,
    config: Config,
    folder: Path,
    *,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
) -> Evaluation:
    """Runs a policy once from each held-back init state and writes the result.

    Args:
        policy: An expert of ``config.policy``; acts deterministically given each episode's seed.
        scene: The task.
        config: Its ``sim`` and ``evaluation`` sections and seed.
        folder: Receives ``results.parquet`` (a row per episode) and ``eval_info.json``.
        on_episode: Called after each episode.
    """
    begin = time.monotonic()
    plans = [plan(scene, config.seed, index) for index in held_back_indices(scene, config)]
    episodes: list[EvaluatedEpisode] = []
    source = config.policy.source
    for trajectory in rollout(policy, scene, plans, source=source, sim=config.sim):
        on_episode(trajectory)
        episodes.append(EvaluatedEpisode.of(trajectory))
    write_results(folder, episodes, seconds=time.monotonic() - begin)
    return summarise(episodes, config.evaluation.confidence)
