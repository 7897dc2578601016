"""Trajectories as Arrow tables, and tables as Parquet files with one row group per episode."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.errors import DatasetError, first_line
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.schema import SCHEMA_VERSION, STEPS_SCHEMA
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.tasks import get_task

_ARRAYS = (
    "sim_state",
    "action",
    "proprio",
    "ee_pos",
    "ee_quat",
    "gripper_qpos",
    "joint_pos",
    "object_state",
    "reward",
    "decision",
)


def steps_table(trajectory: Trajectory) -> pa.Table:
    """Returns the episode as rows of a shard, one per env step.

    Raises:
        DatasetError: The episode is empty, its arrays disagree, or a value is not finite.
    """
    _check(trajectory)
    length, task = len(trajectory), get_task(trajectory.task)
    last = np.arange(length) == length - 1
    columns: dict[str, Any] = {
        "episode_id": [trajectory.episode_id] * length,
        "task": [task.id] * length,
        "suite": [task.suite] * length,
        "instruction": [task.instruction] * length,
        "source": [trajectory.source] * length,
        "step": np.arange(length, dtype=np.int32),
        "timestamp": np.arange(length) / CONTROL_FREQUENCY,
        "terminated": last & trajectory.success,
        "truncated": last & (not trajectory.success),
        "is_noop": trajectory.noops,
        **{name: getattr(trajectory, name) for name in _ARRAYS},
    }
    return pa.table(
        [_to_arrow(columns[field.name], field.type) for field in STEPS_SCHEMA], schema=STEPS_SCHEMA
    )


def episode_row(trajectory: Trajectory, **others: Any) -> dict[str, Any]:
    """Returns the episode's row of the episodes table.

    Args:
        trajectory: The episode.
        others: The columns that no trajectory knows: expert, shard, row_group and versions.
    """
    task = get_task(trajectory.task)
    return {
        "episode_id": trajectory.episode_id,
        "task": task.id,
        "suite": task.suite,
        "instruction": task.instruction,
        "source": trajectory.source,
        "seed": trajectory.seed,
        "init_state_index": trajectory.init_state_index,
        "init_state": trajectory.init_state,
        "fixture_poses": list(trajectory.fixture_poses),
        "num_settle_steps": trajectory.num_settle_steps,
        "success": trajectory.success,
        "length": len(trajectory),
        "schema_version": SCHEMA_VERSION,
        **others,
    }


def to_trajectory(steps: pa.Table, episode: dict[str, Any]) -> Trajectory:
    """Returns the episode that ``steps`` (its rows) and ``episode`` (its constants) describe."""
    return Trajectory(
        episode_id=episode["episode_id"],
        task=episode["task"],
        source=episode["source"],
        seed=episode["seed"],
        init_state_index=episode["init_state_index"],
        success=episode["success"],
        num_settle_steps=episode["num_settle_steps"],
        init_state=np.array(episode["init_state"], np.float64),
        fixture_poses=np.array(episode["fixture_poses"], np.float64).reshape(-1, 7),
        **{name: column_array(steps, name) for name in _ARRAYS},
    )


def column_array(table: pa.Table, name: str) -> np.ndarray:
    """Returns a numeric column as a writable ``[T]`` or ``[T, width]`` array."""
    column = table.column(name).combine_chunks()
    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        return np.array(column.to_numpy(zero_copy_only=False))
    flat = np.array(column.flatten().to_numpy(zero_copy_only=False))
    return flat.reshape(len(column), len(flat) // max(len(column), 1))


def write_parquet(path: Path, schema: pa.Schema, row_groups: Iterable[pa.Table]) -> int:
    """Writes tables to a Parquet file, one row group each, atomically; returns the row count.

    The same tables give the same bytes. Floats are split by byte before zstd, which saves about
    a third of a trajectory's size. Images are compressed already, and lie in the file as they are,
    where ``BinaryFile`` finds a single one.
    """
    num_rows = 0
    plain = any(pa.types.is_binary(field.type) for field in schema)
    codecs = {f.name: "none" if pa.types.is_binary(f.type) else "zstd" for f in schema}
    floats = [_leaf(field) for field in schema if _is_float(field.type)]
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression=codecs if plain else "zstd",  # pyright: ignore[reportArgumentType]
            use_dictionary=texts,  # pyright: ignore[reportArgumentType]
            use_byte_stream_split=floats,  # pyright: ignore[reportArgumentType]
        ) as writer,
    ):
        for table in row_groups:
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
            num_rows += table.num_rows
    return num_rows


UNREADABLE = (OSError, pa.ArrowException, ValueError, OverflowError, MemoryError)
"""What pyarrow raises on damaged Parquet: also bad UTF-8, and sizes that no memory holds."""


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Says of a file that cannot be read which one it is.

    Raises:
        DatasetError: In place of what pyarrow raises.
    """
    try:
        yield
    except DatasetError:
        raise
    except UNREADABLE as error:
        raise DatasetError(
            f"{path} is not a readable Parquet file: {first_line(error)}. Restore it from a copy, "
            "or delete the dataset and make it again."
        ) from None


def open_parquet(path: Path) -> pq.ParquetFile:
    """Opens a Parquet file.

    Raises:
        DatasetError: It is not a Parquet file.
    """
    with reading(path):
        return pq.ParquetFile(path)


def read_parquet(path: Path, schema: pa.Schema) -> pa.Table:
    """Returns a whole Parquet file of this schema.

    Raises:
        DatasetError: It is damaged, or has other columns.
    """
    with reading(path):
        file = pq.ParquetFile(path)
        if file.schema_arrow.equals(schema):
            return file.read()
    raise DatasetError(
        f"{path} departs from the schema: the columns {', '.join(departures(file, schema))}. "
        "`rl-datagen dataset verify` says more."
    )


def departures(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """Returns the columns that a file lacks, has besides, or has with other types."""
    actual = list(file.schema_arrow)
    wrong = [field.name for field in schema if field not in actual]
    return wrong + [field.name for field in actual if field.name not in schema.names]


def read_row_group(
    path: Path, file: pq.ParquetFile, index: int, columns: list[str] | None = None
) -> pa.Table:
    """Returns a row group of a file that was opened before.

    Raises:
        DatasetError: It cannot be read; says which file it is.
    """
    with reading(path):
        return file.read_row_group(index, columns)


def _check(trajectory: Trajectory) -> None:
    name = trajectory.episode_id
    if len(trajectory) == 0:
        raise DatasetError(f"Episode '{name}' has no env step. Store episodes that acted.")
    for column in _ARRAYS:
        values = getattr(trajectory, column)
        if len(values) != len(trajectory):
            raise DatasetError(
                f"Episode '{name}' has {len(values)} rows of {column} but {len(trajectory)} "
                "actions. Record every array once per env step."
            )
        if not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0][0])
            raise DatasetError(
                f"Episode '{name}' has a value of {column} at step {step} that is not finite. "
                "It is not stored; look at the policy or simulator that made it."
            )


def _to_arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        return pa.array(values, kind)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=kind)


def _is_float(kind: pa.DataType) -> bool:
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return pa.types.is_floating(kind)


def _leaf(field: pa.Field) -> str:
    """A column's path as Parquet spells it: each list adds two levels."""
    path, kind = field.name, field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        path, kind = f"{path}.list.element", kind.value_type
    return path
