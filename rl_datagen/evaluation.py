"""Success of a policy on shipped init states, with a Wilson interval."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.config import Config
from rl_datagen.core.seeding import derive_seed
from rl_datagen.core.storage import atomic_path, write_json
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.quality import wilson_interval
from rl_datagen.rollout import PlannedEpisode, Policy, rollout
from rl_datagen.sim import Scene


@dataclass(frozen=True)
class EvaluatedEpisode:
    """One row of an evaluation.

    Attributes:
        task: Task id.
        init_state_index: Shipped init state it started from.
        seed: Seed of the policy's randomness.
        success: Whether the goal was reached in time.
        length: Env steps.
    """

    task: str
    init_state_index: int
    seed: int
    success: bool
    length: int


@dataclass(frozen=True)
class Evaluation:
    """Success over ``num_episodes`` episodes.

    Attributes:
        num_episodes: Episodes run, each from its own init state.
        num_successes: Episodes that reached the goal.
        success_rate: Their share.
        success_ci_low: Lower end of the Wilson interval.
        success_ci_high: Upper end of it.
        episode_len_mean: Mean env steps of all episodes.
        success_len_mean: Mean env steps of the successful ones; None without any.
    """

    num_episodes: int
    num_successes: int
    success_rate: float
    success_ci_low: float
    success_ci_high: float
    episode_len_mean: float
    success_len_mean: float | None


def held_back_indices(scene: Scene, config: Config) -> range:
    """Returns the shipped init states that only evaluations may start from: the last ones."""
    return range(scene.num_init_states - config.evaluation.num_episodes, scene.num_init_states)


def evaluate(
    policy: Policy,
    scene: Scene,
    config: Config,
    folder: Path,
    *,
    source: Source | None = None,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
) -> Evaluation:
    """Runs a policy once from each held-back init state and writes the result.

    Args:
        policy: Acts deterministically given each episode's seed.
        scene: The task.
        config: Its ``sim`` and ``evaluation`` sections and seed.
        folder: Receives ``results.parquet`` (a row per episode) and ``eval_info.json``.
        source: What the policy is; None: an expert of ``config.policy``.
        on_episode: Called after each episode.
    """
    plans = [
        PlannedEpisode(
            f"evaluation-{index}",
            scene.shipped_state(index),
            derive_seed(config.seed, "evaluation", config.task, index),
        )
        for index in held_back_indices(scene, config)
    ]
    episodes = []
    source = source or config.policy.source
    for trajectory in rollout(policy, scene, plans, source=source, sim=config.sim):
        on_episode(trajectory)
        episodes.append(
            EvaluatedEpisode(
                scene.task.id,
                trajectory.init_state_index or 0,
                trajectory.seed,
                trajectory.success,
                len(trajectory),
            )
        )
    episodes.sort(key=lambda episode: episode.init_state_index)
    evaluation = summarise(episodes, config.evaluation.confidence)
    with atomic_path(folder / "results.parquet") as path:
        pq.write_table(pa.Table.from_pylist([asdict(episode) for episode in episodes]), path)
    write_json(folder / "eval_info.json", asdict(evaluation))
    return evaluation


def summarise(episodes: list[EvaluatedEpisode], confidence: float) -> Evaluation:
    """Returns the success rate and lengths of some episodes."""
    successes = [episode for episode in episodes if episode.success]
    low, high = wilson_interval(len(successes), len(episodes), confidence)
    return Evaluation(
        num_episodes=len(episodes),
        num_successes=len(successes),
        success_rate=len(successes) / len(episodes),
        success_ci_low=low,
        success_ci_high=high,
        episode_len_mean=sum(episode.length for episode in episodes) / len(episodes),
        success_len_mean=sum(episode.length for episode in successes) / len(successes)
        if successes
        else None,
    )
