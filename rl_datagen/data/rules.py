"""What values a dataset may hold: for each column a range, and how it agrees with its neighbours.

The schema says what type a column has. Here is which of that type's values can be, once for all
who check: `dataset verify`, for datasets and compact ones. Checks are generators of sentences
about an episode, such as "has action 1e+30 at env step 3, ...". They see whole columns at once.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from rl_datagen.core.errors import quoted
from rl_datagen.data.names import check_name
from rl_datagen.data.schema import SCHEMA_VERSION
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, NOOP_THRESHOLD, Source, find_noops
from rl_datagen.tasks import NUM_INIT_STATES, get_task

STATE_LIMIT = 1e6
"""Beyond what any position (m), angle (rad) or velocity of a scene is, even one that flew off."""

Ranges = Mapping[str, tuple[float, float]]

STEP_RANGES: Ranges = {
    "timestamp": (0, STATE_LIMIT),
    "sim_state": (-STATE_LIMIT, STATE_LIMIT),
    "action": (-1, 1),
    "proprio": (-10, 10),  # m within a room, rad of one turn
    "ee_pos": (-10, 10),
    "ee_quat": (-1.001, 1.001),
    "gripper_qpos": (-1, 1),
    "joint_pos": (-10, 10),
    "object_state": (-STATE_LIMIT, STATE_LIMIT),
    "reward": (0, 1),
    "terminated": (0, 1),
    "truncated": (0, 1),
    "is_noop": (0, 1),
    "decision": (0, 2**31 - 1),
}
EPISODE_RANGES: Ranges = {
    "seed": (0, 2**63 - 1),
    "init_state_index": (0, NUM_INIT_STATES - 1),
    "init_state": (-STATE_LIMIT, STATE_LIMIT),
    "fixture_poses": (-10, 10),
    "num_settle_steps": (0, 100_000),
    "success": (0, 1),
    "length": (1, 1_000_000),
    "schema_version": (SCHEMA_VERSION, SCHEMA_VERSION),
}
NULLABLE = {"expert", "init_state_index", "num_steps_to_success"}
_VERSIONS = ("mujoco_version", "robosuite_version", "libero_version")
_UNIT = 1e-3  # how far from 1 the norm of a recorded quaternion may be
_FIXTURE_UNIT = 1e-2  # LIBERO's XML rounds them
_CLOSE = 1e-4  # between a number and its float32 copy: m and rad


def wrong_steps(table: pa.Table, row: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is wrong with an episode's env steps.

    Args:
        table: Its rows of the steps file.
        row: Its row of the episodes table.
    """
    task = get_task(row["task"])
    expected = {"task": task.id, "suite": task.suite, "instruction": task.instruction}
    for name, value in {**expected, "source": row["source"]}.items():
        if others := [each for each in table[name].unique().to_pylist() if each != value]:
            yield f"has {name} {quoted(others[0])} at an env step, not {quoted(value)}"
    values, problems = _numbers(table, STEP_RANGES, "env step")
    yield from problems
    if not problems:
        yield from _wrong_times(values, row)
        yield from _wrong_hand(values)
        yield from _wrong_ends(values, row)
        yield from _wrong_actions(values)


def _wrong_times(values: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> Iterator[str]:
    states, seconds = values["sim_state"], np.arange(len(values["action"])) / CONTROL_FREQUENCY
    if (step := _first(np.abs(values["timestamp"] - seconds) > 1e-9)) is not None:
        yield (
            f"has timestamp {values['timestamp'][step]:g} at env step {step}, not "
            f"{seconds[step]:g}: one env step is 1/{CONTROL_FREQUENCY} s"
        )
    init_state = row["init_state"]
    if not init_state or states.shape[1] != len(init_state):
        width = len(init_state or ())
        yield f"has sim_state of width {states.shape[1]}, its init_state has {width}"
        return
    begin = init_state[0] + row["num_settle_steps"] / CONTROL_FREQUENCY
    if (step := _first(np.abs(states[:, 0] - begin - seconds) > 1e-6)) is not None:
        yield (
            f"has sim_state of the time {states[step, 0]:g} s at env step {step}, not "
            f"{begin + seconds[step]:g} s after settling"
        )


def _wrong_hand(values: Mapping[str, np.ndarray]) -> Iterator[str]:
    proprio, quat = values["proprio"].astype(np.float64), values["ee_quat"]
    norm = np.linalg.norm(quat, axis=1)
    if (step := _first(np.abs(norm - 1) > _UNIT)) is not None:
        yield f"has ee_quat of the norm {norm[step]:g} at env step {step}, not 1"
        return
    for name, part in (("ee_pos", proprio[:, :3]), ("gripper_qpos", proprio[:, 6:])):
        if (step := _first(np.abs(part - values[name]).max(axis=1) > _CLOSE)) is not None:
            yield f"has {name} and proprio that differ at env step {step}"
    half = np.linalg.norm(proprio[:, 3:6], axis=1, keepdims=True) / 2
    vector = proprio[:, 3:6] / 2 * np.sinc(half / np.pi)  # axis * sin(angle / 2)
    same = np.abs((np.hstack([vector, np.cos(half)]) * quat).sum(axis=1))  # q and -q turn alike
    if (step := _first(same < 1 - 1e-3)) is not None:
        yield f"has ee_quat and proprio that differ at env step {step}"


def _wrong_ends(values: Mapping[str, np.ndarray], row: Mapping[str, Any]) -> Iterator[str]:
    success, last = bool(row["success"]), np.arange(len(values["action"])) + 1 == row["length"]
    for name, ends in (("terminated", success), ("truncated", not success)):
        if (step := _first(values[name] != (last & ends))) is not None:
            says = f"is marked success={success} but ends otherwise" if last[step] else "goes on"
            yield f"{says}: {name} is {bool(values[name][step])} at env step {step}"
    reward = values["reward"]
    if not np.isin(reward, (0, 1)).all() or reward.sum() != success:
        yield (
            f"has rewards whose sum is {reward.sum():g}, not {int(success)}: 1 at the env step "
            "that first reached the goal of a success, else 0"
        )


def _wrong_actions(values: Mapping[str, np.ndarray]) -> Iterator[str]:
    decision, action = values["decision"], values["action"]
    if (step := miscounted(decision)) is not None:
        yield (
            f"has decision {decision[step]} at env step {step}: they count the policy's calls "
            "from 0, without a gap"
        )
    noop = find_noops(action)
    norm = np.linalg.norm(action[:, :6].astype(np.float64), axis=1)
    on_the_edge = np.abs(norm - NOOP_THRESHOLD) < 1e-3 * NOOP_THRESHOLD  # machines round otherwise
    if (step := _first(values["is_noop"] != noop)) is not None and not on_the_edge.any():
        yield f"has is_noop {bool(values['is_noop'][step])} at env step {step}, not {noop[step]}"


def miscounted(decision: np.ndarray) -> int | None:
    """Returns the first env step whose decision does not count the policy's calls, if any."""
    wrong = ~np.isin(np.diff(decision.astype(np.int64), prepend=-1), (0, 1))
    return 0 if decision[0] else _first(wrong)


def wrong_episodes(table: pa.Table, task_id: str) -> Iterator[tuple[int, str]]:
    """Yields what is wrong with rows of the episodes table, or of a compact dataset.

    Args:
        table: The rows.
        task_id: Task that they are of.

    Yields:
        Number of a row, and the sentence.
    """
    task, sources = get_task(task_id), get_args(Source)
    rules: dict[str, Callable[[Any], bool]] = {
        "episode_id": _is_name,
        "suite": lambda value: value == task.suite,
        "instruction": lambda value: value == task.instruction,
        "source": lambda value: value in sources,
        "expert": lambda value: value is None or _is_text(value),
        **dict.fromkeys(_VERSIONS, _is_text),
    }
    for row in _rows_where(table, "task", lambda value: value != task_id):
        yield row, f"is of {table['task'][row].as_py()!s:.80}, the file is of {task_id}"
    for name, holds in rules.items():
        if name in table.schema.names:
            for row in _rows_where(table, name, lambda value, holds=holds: not holds(value)):
                yield row, f"has {name} {quoted(table[name][row].as_py())}, which cannot be"
    if not table.num_rows:
        return
    yield from wrong_numbers(table, EPISODE_RANGES)
    yield from _wrong_starts(table)


def _wrong_starts(table: pa.Table) -> Iterator[tuple[int, str]]:
    widths = _lengths(table["init_state"].combine_chunks())
    if (row := _first((widths != widths[0]) | (widths < 2))) is not None:
        yield row, f"has an init_state of width {widths[row]}, the first one has {widths[0]}"
    if table["init_state"].null_count or table["fixture_poses"].null_count:
        return
    states, rows, nulls = _flat(table["init_state"])
    if len(nulls):
        return  # said of the value
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    if (place := _first(states[first] < 0)) is not None:
        yield int(rows[first][place]), "has an init_state whose time is negative"
    counts = _lengths(table["fixture_poses"].combine_chunks())
    if (row := _first(counts != counts[0])) is not None:
        yield row, f"has {counts[row]} fixture_poses, the first one has {counts[0]}"
    poses, rows, nulls = _flat(table["fixture_poses"])
    if not len(nulls) and len(poses):
        norm = np.linalg.norm(poses.reshape(-1, 7)[:, 3:], axis=1)
        if (place := _first(~(np.abs(norm - 1) <= _FIXTURE_UNIT))) is not None:
            yield int(rows[7 * place]), f"has a fixture quaternion of the norm {norm[place]:g}"


def wrong_numbers(table: pa.Table, ranges: Ranges) -> Iterator[tuple[int, str]]:
    """Yields the numeric values of rows that are null, not finite or out of their range.

    Args:
        table: The rows.
        ranges: The least and the greatest value by column; columns that are not there count not.

    Yields:
        Number of the first row of each column, and a sentence.
    """
    for name in [name for name in ranges if name in table.schema.names]:
        column = table[name]
        if column.null_count and name not in NULLABLE:
            row = _first(column.is_null().to_numpy())
            yield row or 0, f"has no {name}"
            continue
        flat, rows, nulls = _flat(column)
        if len(nulls):
            yield int(rows[nulls[0]]), f"has a value of {name} that is null"
        elif (place := _first(_outside(flat, ranges[name]))) is not None:
            yield int(rows[place]), f"has {_beyond(name, flat[place], ranges[name])}"


def _numbers(table: pa.Table, ranges: Ranges, row: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns numeric columns as ``[T]`` or ``[T, width]``, and what is wrong with them."""
    problems = [f"{text} at {row} {place}" for place, text in wrong_numbers(table, ranges)]
    values: dict[str, np.ndarray] = {}
    for name in ranges if not problems else ():
        flat, _, _ = _flat(table[name])
        column = table[name].combine_chunks()
        values[name] = flat
        if _is_list(column.type):
            widths = _lengths(column)
            if (place := _first(widths != widths[0])) is not None:
                problems.append(f"has {name} of width {widths[place]} at {row} {place}")
                continue
            values[name] = flat.reshape(len(column), int(widths[0]))
    return values, problems


def _flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the values of rows that are not null, the row of each, and the places of null ones.

    Where a value is null, the first of these is empty.
    """
    array = column.combine_chunks()
    rows = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    array = array.drop_null()
    while _is_list(array.type):
        rows, array = np.repeat(rows, _lengths(array)), array.flatten()
        if array.null_count:
            return np.empty(0), rows, np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
    return array.to_numpy(zero_copy_only=False), rows, np.empty(0, int)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)


def _lengths(array: Any) -> np.ndarray:
    """Returns how many values each list has; null lists have none."""
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size)
    return np.diff(array.offsets.to_numpy())


def _rows_where(table: pa.Table, name: str, is_wrong: Callable[[Any], bool]) -> list[int]:
    """Returns the first row of each value that is wrong."""
    column = table[name]
    found = [value for value in column.unique().to_pylist() if is_wrong(value)]
    if not found:
        return []
    values = column.to_pylist()
    return sorted(values.index(value) for value in found)


def _outside(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return ~((values >= limits[0]) & (values <= limits[1]))  # also what is not a number


def _beyond(name: str, value: Any, limits: tuple[float, float]) -> str:
    low, high = limits
    return f"{name} {value:g}, which is not finite or not in [{low:g}, {high:g}]"


def _first(wrong: np.ndarray) -> int | None:
    """Returns the first place where something is wrong."""
    places = np.flatnonzero(wrong)
    return int(places[0]) if len(places) else None


def _is_name(value: Any) -> bool:
    try:
        check_name(value)
    except ValueError:
        return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 1024
