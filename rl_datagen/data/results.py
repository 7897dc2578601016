"""Evaluated episodes: a row each, in sum, and on disk.

A file carries the SHA-256 of its rows, so that one which was edited is not taken for a result.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.errors import UserError, first_line
from rl_datagen.core.intervals import wilson_interval
from rl_datagen.core.storage import atomic_path, write_json
from rl_datagen.data.names import check_task_id
from rl_datagen.data.shards import UNREADABLE
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks import NUM_INIT_STATES, get_task, known_tasks

RESULTS, INFO = "results.parquet", "eval_info.json"
DIGEST_KEY = "rl_datagen.rows_sha256"
"""Key of ``digest`` in a file's metadata; files of earlier releases lack it."""
INFO_DIGEST_KEY = "results_sha256"
"""Key of ``digest`` in ``eval_info.json``, beside lerobot's."""
_MAX_LENGTH = 1_000_000
_HOW_TO_REPAIR = (
    "Delete that file and repeat its `rl-datagen evaluate`, which runs what is missing and writes "
    "the results again."
)
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
    order = {task.id: place for place, task in enumerate(known_tasks())}
    ordered = sorted(episodes, key=lambda e: (order[e.task], e.init_state_index))
    for episode in ordered:
        groups.setdefault(episode.task, []).append(episode)
    return groups


def write_episodes(path: Path, episodes: Iterable[EvaluatedEpisode]) -> None:
    """Writes rows to a Parquet file, atomically."""
    rows = list(episodes)
    schema = _SCHEMA.with_metadata({DIGEST_KEY: digest(rows)})
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(map(asdict, rows)), schema=schema), temporary)


def digest(episodes: Iterable[EvaluatedEpisode]) -> str:
    """Returns the SHA-256 of rows as JSON, in their order."""
    rows = [list(asdict(episode).values()) for episode in episodes]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def read_episodes(path: Path) -> list[EvaluatedEpisode]:
    """Returns the rows of such a file.

    Raises:
        UserError: There is none, it is damaged or was edited, or a value cannot be.
    """
    try:
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
    except UNREADABLE as error:
        raise UserError(
            f"{path} cannot be read as evaluated episodes ({first_line(error)}). Give the folder "
            f"of an evaluation that `rl-datagen evaluate` has made. {_HOW_TO_REPAIR}"
        ) from None
    if not table.schema.equals(_SCHEMA):
        raise _refused(
            path, f"it has the columns {_columns(table.schema)}, not {_columns(_SCHEMA)}"
        )
    if (wrong := next(_wrong_values(rows), None)) is not None:
        raise _refused(path, wrong)
    episodes = [EvaluatedEpisode(**row) for row in rows]
    sealed = (table.schema.metadata or {}).get(DIGEST_KEY.encode())
    if sealed is not None and sealed != digest(episodes).encode():
        raise _refused(path, f"its rows have the SHA-256 {digest(episodes)}, not the sealed one")
    return episodes


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _refused(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is refused: {reason}. {_HOW_TO_REPAIR}")


def _wrong_values(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yields what is wrong with rows."""
    if not rows:
        yield "it has no episode"
    seen: Counter[tuple[str, int]] = Counter()
    for number, row in enumerate(rows):
        for key, value in row.items():
            if value is None and key != "error":
                yield f"row {number} has no {key}"
                return
        try:
            start = check_task_id(row["task"]), row["init_state_index"]
        except ValueError as error:
            yield f"row {number}: {error}"
            return
        if not 0 <= start[1] < NUM_INIT_STATES:
            allowed = f"0 to {NUM_INIT_STATES - 1} is allowed"
            yield f"init_state_index is {start[1]} in row {number}; {allowed}"
        if not 0 <= row["length"] <= _MAX_LENGTH:
            yield f"length is {row['length']} in row {number}; 0 to {_MAX_LENGTH} is allowed"
        if row["seed"] < 0:
            yield f"seed is {row['seed']} in row {number}; 0 or more is allowed"
        if row["success"] and row["error"] is not None:
            yield f"row {number} is a success and has an error"
        seen[start] += 1
        if seen[start] > 1:
            yield f"{start[0]} has init state {start[1]} twice"


def read_results(folder: Path, *, num_episodes: int | None = None) -> list[EvaluatedEpisode]:
    """Returns the episodes of an evaluation's folder.

    Args:
        folder: Of the evaluation.
        num_episodes: Of each of its tasks, from the first init states, of those that there are;
            None: any.

    Raises:
        UserError: It is not complete, its two files disagree, or one was edited.
    """
    path = folder / RESULTS
    episodes = read_episodes(path)
    if num_episodes is not None:
        for task, group in by_task(episodes).items():
            found = [episode.init_state_index for episode in group]
            wanted = min(num_episodes, get_task(task).num_init_states)
            if found != list(range(wanted)):
                raise _refused(
                    path,
                    f"{task} has {len(found)} episodes where config.yaml says {wanted}, one "
                    "from each of the first init states",
                )
    _check_info(folder, episodes)
    return episodes


def _check_info(folder: Path, episodes: Sequence[EvaluatedEpisode]) -> None:
    """Compares the rows with ``eval_info.json``, whichever release wrote that."""
    path = folder / INFO
    try:
        info = json.loads(path.read_text("utf-8"))
        sealed = info.get(INFO_DIGEST_KEY)
        successes = {
            f"{each['task_group']}/{each['task_id']}": each["metrics"]["successes"]
            for each in info["per_task"]
        }
        count = info["overall"]["n_episodes"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(path, f"it cannot be read ({first_line(error)})") from None
    groups = by_task(episodes)
    if sealed not in (None, digest(e for group in groups.values() for e in group)):
        raise _refused(folder / RESULTS, f"{INFO} is of other rows, with the SHA-256 {sealed}")
    if successes != {t: [e.success for e in group] for t, group in groups.items()}:
        raise _refused(folder / RESULTS, f"its successes are not those in {INFO}")
    if count != len(episodes):
        raise _refused(folder / RESULTS, f"it has {len(episodes)} episodes and {INFO} {count}")


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
    """Writes ``results.parquet`` and ``eval_info.json``, which has lerobot's keys and a checksum.

    Args:
        folder: Of the evaluation.
        episodes: All of them.
        seconds: Wall time they took.
        videos: MP4s of some of them, ``videos/<suite>-<index>-<init state>.mp4``.
    """
    tasks = by_task(episodes)
    rows = [episode for group in tasks.values() for episode in group]
    info = _eval_info(tasks, seconds, list(map(str, videos)))
    write_episodes(folder / RESULTS, rows)
    write_json(folder / INFO, info | {INFO_DIGEST_KEY: digest(rows)})


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
