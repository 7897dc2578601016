"""Evaluated episodes: a row each, in sum, and on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.errors import UserError
from rl_datagen.core.intervals import wilson_interval
from rl_datagen.core.storage import atomic_path, write_json
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks import TASKS, get_task

RESULTS = "results.parquet"
_ORDER = {task.id: place for place, task in enumerate(TASKS)}
_SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "init_state_index": pa.int32(),
        "seed": pa.int64(),
        "success": pa.bool_(),
        "length": pa.int32(),
        "error": pa.string(),
    }
)


@dataclass(frozen=True)
class EvaluatedEpisode:
    """One row of an evaluation.

    Attributes:
        task: Task id.
        init_state_index: Shipped init state it started from.
        seed: Seed of the policy's randomness.
        success: Whether the goal was reached in time.
        length: Env steps.
        error: What the simulator failed with, if it did; the episode counts as a failure.
    """

    task: str
    init_state_index: int
    seed: int
    success: bool
    length: int
    error: str | None = None

    @classmethod
    def of(cls, trajectory: Trajectory) -> "EvaluatedEpisode":
        """Returns the row of an episode that started from a shipped init state."""
        assert trajectory.init_state_index is not None
        return cls(
            trajectory.task,
            trajectory.init_state_index,
            trajectory.seed,
            trajectory.success,
            len(trajectory),
        )


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


def summarise(episodes: Sequence[EvaluatedEpisode], confidence: float) -> Evaluation:
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


def by_task(episodes: Iterable[EvaluatedEpisode]) -> dict[str, list[EvaluatedEpisode]]:
    """Returns each task's episodes: tasks in the order of the 130, episodes by init state."""
    groups: dict[str, list[EvaluatedEpisode]] = {}
    ordered = sorted(episodes, key=lambda e: (_ORDER[e.task], e.init_state_index))
    for episode in ordered:
        groups.setdefault(episode.task, []).append(episode)
    return groups


def write_episodes(path: Path, episodes: Iterable[EvaluatedEpisode]) -> None:
    """Writes rows to a Parquet file, atomically."""
    with atomic_path(path) as temporary:
        rows = [asdict(episode) for episode in episodes]
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary)


def read_episodes(path: Path) -> list[EvaluatedEpisode]:
    """Returns the rows of such a file.

    Raises:
        UserError: There is none, or it is damaged.
    """
    try:
        return [EvaluatedEpisode(**row) for row in pq.read_table(path).to_pylist()]
    except (OSError, pa.ArrowException, TypeError) as error:
        raise UserError(
            f"{path} cannot be read as evaluated episodes ({type(error).__name__}). Give the "
            "folder of an evaluation that `rl-datagen evaluate` has made; if the file is damaged, "
            "delete it and repeat that command, which runs what is missing."
        ) from None


def read_results(folder: Path) -> list[EvaluatedEpisode]:
    """Returns the episodes of an evaluation's folder.

    Raises:
        UserError: It is not complete.
    """
    return read_episodes(folder / RESULTS)


def summaries(episodes: Sequence[EvaluatedEpisode], confidence: float) -> dict[str, Evaluation]:
    """Returns the success in each task, in each suite, and in all if there are several."""
    groups = by_task(episodes)
    suites = dict.fromkeys(get_task(task).suite for task in groups)
    for suite in suites:
        groups[suite] = [e for e in episodes if get_task(e.task).suite == suite]
    if len(suites) > 1:
        groups["all"] = list(episodes)
    return {name: summarise(group, confidence) for name, group in groups.items()}


def write_results(
    folder: Path,
    episodes: Iterable[EvaluatedEpisode],
    *,
    seconds: float,
    videos: Sequence[Path] = (),
) -> None:
    """Writes ``results.parquet`` and ``eval_info.json``, which has lerobot's keys.

    Args:
        folder: Of the evaluation.
        episodes: All of them.
        seconds: Wall time they took.
        videos: MP4s of some of them, ``videos/<suite>-<index>-<init state>.mp4``.
    """
    tasks = by_task(episodes)
    write_episodes(folder / RESULTS, (e for group in tasks.values() for e in group))
    write_json(folder / "eval_info.json", _eval_info(tasks, seconds, list(map(str, videos))))


def _eval_info(
    tasks: dict[str, list[EvaluatedEpisode]], seconds: float, videos: list[str]
) -> dict[str, Any]:
    """The keys of lerobot 0.6's ``lerobot-eval``: an episode's reward is 1 if it succeeds, or 0."""
    suites: dict[str, list[EvaluatedEpisode]] = {}
    per_task: list[dict[str, Any]] = []
    for name, group in tasks.items():
        task = get_task(name)
        suites.setdefault(task.suite, []).extend(group)
        rewards = [float(episode.success) for episode in group]
        metrics = {
            "sum_rewards": rewards,
            "max_rewards": rewards,
            "successes": [episode.success for episode in group],
            "video_paths": [
                v for v in videos if Path(v).name.startswith(f"{task.suite}-{task.index}-")
            ],
        }
        per_task.append({"task_group": task.suite, "task_id": task.index, "metrics": metrics})
    every = [episode for group in tasks.values() for episode in group]
    overall = _aggregate(every, videos)
    time = {"eval_s": seconds, "eval_ep_s": seconds / len(every)}
    groups = {
        suite: _aggregate(group, [v for v in videos if Path(v).name.startswith(f"{suite}-")])
        for suite, group in suites.items()
    }
    return {"per_task": per_task, "per_group": groups, "overall": overall | time}


def _aggregate(episodes: list[EvaluatedEpisode], videos: list[str]) -> dict[str, Any]:
    rate = sum(episode.success for episode in episodes) / len(episodes)
    return {
        "avg_sum_reward": rate,
        "avg_max_reward": rate,
        "pc_success": 100 * rate,
        "n_episodes": len(episodes),
        "video_paths": videos,
    }
