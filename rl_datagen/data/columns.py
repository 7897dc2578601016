"""Numeric columns of a dataset in memory, its episodes, and where its images lie."""

# Legend: M env steps, E episodes.

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from rl_datagen.core.errors import ConfigError, DatasetError, did_you_mean, shown
from rl_datagen.data.compact import is_compact, read_compact, read_compact_manifest
from rl_datagen.data.dataset import read_episodes_of
from rl_datagen.data.images import row_group_episodes
from rl_datagen.data.manifest import FileEntry, Shard, check_file, next_step, read_manifest
from rl_datagen.data.schema import STEPS_SCHEMA
from rl_datagen.data.shards import column_array, open_parquet, reading
from rl_datagen.data.trajectory import Source
from rl_datagen.tasks import select_present

COLUMNS = tuple(field.name for field in STEPS_SCHEMA if not pa.types.is_string(field.type))
"""Columns that hold numbers, a row each env step."""
LABEL_COLUMNS = ("predicates", "subtask_index", "next_predicate", "goal_distance", "progress")
"""Those of labels, where a dataset is labelled."""
COMPACT_COLUMNS = ("action", "decision")
"""Those of a compact dataset."""
_MAX_IN_MEMORY = 1 << 28  # bytes of a column; a larger one is mapped from a temporary file


@dataclass(frozen=True, eq=False)
class Episode:
    """An episode of a dataset, without its env steps.

    Attributes:
        episode_id: Unique and stable.
        task: Task id such as ``"libero_goal/3"``.
        instruction: The task's sentence.
        source: What acted.
        seed: Seed of its randomness.
        init_state_index: Shipped init state it started from; None: a newly drawn one.
        success: Whether the goal was reached at its last env step.
        length: Env steps.
        num_settle_steps: Env steps of settling before the first.
        init_state: ``[S]``: time (s), qpos, qvel before settling.
        fixture_poses: ``[Nf, 7]``: position (m), quaternion (w, x, y, z) of each fixture.
        shard: Name of its steps file; empty in a compact dataset.
        row_group: Its row group there.
    """

    episode_id: str
    task: str
    instruction: str
    source: Source
    seed: int
    init_state_index: int | None
    success: bool
    length: int
    num_settle_steps: int
    init_state: Float64[np.ndarray, " S"]
    fixture_poses: Float64[np.ndarray, "Nf 7"]
    shard: str = ""
    row_group: int = 0


@dataclass(frozen=True, eq=False)
class Columns:
    """What random access to a dataset needs.

    Attributes:
        episodes: Its episodes, in the order of writing.
        begins: ``[E]``: row of each one's first env step.
        arrays: Columns by name, ``[M, ...]``.
        image_files: Files of images.
        images: By episode id, the number of the file and the row group of its images.
    """

    episodes: Sequence[Episode]
    begins: Int64[np.ndarray, " E"]
    arrays: Mapping[str, np.ndarray]
    image_files: Sequence[Path]
    images: Mapping[str, tuple[int, int]]


_Part = tuple[list[Episode], dict[str, np.ndarray]]  # some episodes and their env steps


def load_columns(
    folder: Path, selector: str, names: Sequence[str] | None, *, check: bool = True
) -> Columns:
    """Reads columns of a dataset, whole or compact.

    Args:
        folder: The dataset's.
        selector: Tasks, such as ``"libero_goal"``.
        names: Columns; None: proprio, where there is one, and action.
        check: Compare the checksums of the large files too, which reads all of them.

    Raises:
        ConfigError: There is no such column.
        DatasetError: Nothing is selected, or a file is missing or damaged.
    """
    tasks = {task.id for task in select_present(selector, set(_tasks_of(folder)))}
    _check_names(folder, names or ())
    if is_compact(folder):
        return _load_compact(folder, selector, tasks, names or ("action",))
    shards = [shard for shard in read_manifest(folder).shards if shard.task in tasks]
    num_rows = sum(shard.steps.num_rows for shard in shards)
    names = names or ("proprio", "action")
    parts = (_read_shard(folder, shard, names, check=check) for shard in shards)
    episodes, arrays = _gather(folder, selector, parts, num_rows)
    files = [_path(folder, entry, check) for shard in shards for entry in shard.images]
    places = {
        name: (number, group)
        for number, path in enumerate(files)
        for group, name in enumerate(row_group_episodes(path))
    }
    return Columns(episodes, _begins(episodes), arrays, files, places)


def _load_compact(
    folder: Path, selector: str, tasks: Collection[str], names: Sequence[str]
) -> Columns:
    files = [each.task for each in read_compact_manifest(folder).files if each.task in tasks]
    parts: list[_Part] = []
    for found in (each for task in files for each in read_compact(folder, task)):
        columns = {"action": found.actions, "decision": found.decisions}
        row = {**found.row, "init_state": found.init_state, "fixture_poses": found.fixture_poses}
        parts.append(([_episode(row)], {name: columns[name] for name in names}))
    num_rows = sum(episode.length for (episode,), _ in parts)
    episodes, arrays = _gather(folder, selector, parts, num_rows)
    return Columns(episodes, _begins(episodes), arrays, (), {})


def _read_shard(folder: Path, shard: Shard, names: Sequence[str], *, check: bool) -> _Part:
    episodes = [_episode(row) for row in read_episodes_of(folder, [shard]).to_pylist()]
    num_rows = sum(episode.length for episode in episodes)
    columns: dict[str, np.ndarray] = {}
    for entry, those in (
        (shard.steps, [name for name in names if name in COLUMNS]),
        (shard.labels, [name for name in names if name in LABEL_COLUMNS]),
    ):
        if those:
            path = _path(folder, entry or _no_labels(folder, shard.task), check)
            columns |= _read_columns(folder, path, those, num_rows)
    return episodes, columns


def _read_columns(
    folder: Path, path: Path, names: Sequence[str], num_rows: int
) -> dict[str, np.ndarray]:
    with reading(path):
        table = open_parquet(path).read(columns=list(names))
        columns = {name: column_array(table, name) for name in names}
    if table.num_rows != num_rows:
        raise DatasetError(
            f"{path} has {table.num_rows} env steps, which are not those of its episodes. "
            f"{next_step(folder)}"
        )
    return columns


def _no_labels(folder: Path, task: str) -> NoReturn:
    raise DatasetError(
        f"Dataset {folder} has no labels of {task}. `rl-datagen dataset label {folder}` makes them."
    )


def _path(folder: Path, entry: FileEntry, check: bool) -> Path:
    return check_file(folder, entry) if check else folder / entry.path


def _episode(row: Mapping[str, Any]) -> Episode:
    known = {name: row[name] for name in Episode.__dataclass_fields__ if name in row}
    poses = np.array(row["fixture_poses"], np.float64).reshape(-1, 7)
    known |= {"init_state": np.array(row["init_state"], np.float64), "fixture_poses": poses}
    return Episode(**known)


def _begins(episodes: Sequence[Episode]) -> Int64[np.ndarray, " E"]:
    lengths = np.array([episode.length for episode in episodes], np.int64)
    return np.cumsum(lengths) - lengths


def _gather(
    folder: Path, selector: str, parts: Iterable[_Part], num_rows: int
) -> tuple[list[Episode], dict[str, np.ndarray]]:
    """Puts parts one after the other into arrays of so many rows."""
    episodes: list[Episode] = []
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for new, columns in parts:
        num_new = sum(episode.length for episode in new)
        for name, values in columns.items():
            array = arrays.setdefault(name, values)
            if not episodes:
                array = arrays[name] = _allocate((num_rows, *values.shape[1:]), values.dtype)
            if array.shape[1:] != values.shape[1:]:
                raise _other_width(name, episodes[0], array, new[0], values)
            array[at : at + num_new] = values
        episodes += new
        at += num_new
    if not episodes:
        raise DatasetError(
            f"Dataset {folder} has no env step of tasks={selector!r}. It has "
            f"{', '.join(_tasks_of(folder)) or 'no task at all'}."
        )
    return episodes, arrays


def _allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array for a column; workers that are forked share it, whatever its size."""
    if np.prod(shape) * dtype.itemsize <= _MAX_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="rl_datagen-") as file:  # goes with the array
        return np.memmap(file, dtype, "w+", shape=shape)


def _tasks_of(folder: Path) -> Iterator[str]:
    if is_compact(folder):
        return (each.task for each in read_compact_manifest(folder).files)
    return iter(dict.fromkeys(shard.task for shard in read_manifest(folder).shards))


def _check_names(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if name not in (known := (*COLUMNS, *LABEL_COLUMNS)):
            raise ConfigError(
                f"columns has '{shown(name)}', which is not a column of numbers."
                f"{did_you_mean(name, known)} Allowed: {', '.join(known)}."
            )
        if name not in COMPACT_COLUMNS and is_compact(folder):
            raise DatasetError(
                f"{folder} is a compact dataset, of init states and actions: it has no '{name}'. "
                f"`rl-datagen dataset hydrate {folder} OUT` replays it into a dataset that has it."
            )


def _other_width(
    name: str, first: Episode, array: np.ndarray, other: Episode, values: np.ndarray
) -> DatasetError:
    return DatasetError(
        f"A row of {name} has {array.shape[1]} numbers in {first.task} and {values.shape[1]} in "
        f"{other.task}, whose objects are others. Select tasks of one size with "
        f"tasks='{first.task}', or leave {name} out of columns."
    )
