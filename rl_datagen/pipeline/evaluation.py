"""One policy on one task, from the init states that its training has never seen."""

import time
from collections.abc import Callable
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.data.results import EvaluatedEpisode, Evaluation, summarise, write_results
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.rollout import Policy, held_back_indices, plan_evaluation, rollout
from rl_datagen.sim import Scene


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
    plans = [
        plan_evaluation(scene, config.seed, index) for index in held_back_indices(scene, config)
    ]
    episodes: list[EvaluatedEpisode] = []
    source = config.policy.source
    for trajectory in rollout(policy, scene, plans, source=source, sim=config.sim):
        on_episode(trajectory)
        episodes.append(EvaluatedEpisode.of(trajectory))
    write_results(folder, episodes, seconds=time.monotonic() - begin)
    return summarise(episodes, config.evaluation.confidence)
