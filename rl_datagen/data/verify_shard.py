"""Finds faults in one shard of a dataset: in its episodes, their env steps and their images."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.config.views import ViewsConfig, described
from rl_datagen.core.errors import DatasetError, first_line, quoted, shown
from rl_datagen.data.dataset import check_places
from rl_datagen.data.images import appearance_of_file
from rl_datagen.data.manifest import FileEntry, Shard
from rl_datagen.data.patterns import pattern_of
from rl_datagen.data.problems import Problem
from rl_datagen.data.rules import wrong_episodes, wrong_steps
from rl_datagen.data.schema import (
    EPISODES_SCHEMA,
    IMAGES_SCHEMA,
    LABELS_SCHEMA,
    SCHEMA_VERSION,
    STEPS_SCHEMA,
    VERSION_KEY,
)
from rl_datagen.data.shards import UNREADABLE, column_array, departures, open_parquet
from rl_datagen.data.verify_images import wrong_images
from rl_datagen.data.verify_labels import wrong_labels
from rl_datagen.data.views import images_schema, views_of_file

Rows = dict[str, dict[str, Any]]
"""The rows of the episodes table, by episode."""
_STARTS = ["task", "source", "expert", "seed", "init_state", "fixture_poses"]


@dataclass(frozen=True)
class ShardCheck:
    """A shard to check, whose files are those of the manifest.

    Attributes:
        dataset: The dataset's folder.
        shard: The shard.
        appearance: Of the dataset's images, as the manifest says.
        decode: Whether to decode images.
    """

    dataset: Path
    shard: Shard
    appearance: str | None
    decode: bool


@dataclass
class Checked:
    """What a shard holds that must be of one kind, or in one place, in all of a dataset.

    Attributes:
        problems: What is wrong with the shard by itself.
        starts: How each episode begins, as a digest, its name, and the file that says so.
        episodes: Each episode that has env steps, and their file.
        views: What images there are besides LIBERO's two, by file.
    """

    problems: list[Problem] = field(default_factory=list[Problem])
    starts: list[tuple[bytes, str, str]] = field(default_factory=list[tuple[bytes, str, str]])
    episodes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    views: list[tuple[str, ViewsConfig]] = field(default_factory=list[tuple[str, ViewsConfig]])


class Seen:
    """What the shards before held."""

    def __init__(self) -> None:
        self._episodes: Counter[str] = Counter()
        self._starts: dict[bytes, str] = {}
        self._views: ViewsConfig | None = None

    def take(self, checked: Checked) -> Iterator[Problem]:
        """Yields what is wrong with a shard, by itself and after those before."""
        yield from checked.problems
        for path, views in checked.views:
            self._views = self._views or views
            if views != self._views:
                message = f"it holds {described(views)}, files before it {described(self._views)}"
                yield Problem.of_episode(path, message)
        for start, name, path in checked.starts:
            first = self._starts.setdefault(start, name)
            if first != name:
                message = (
                    f"episode {quoted(name)} repeats {quoted(first)}: same init state and seed"
                )
                yield Problem.of_episode(path, message)
        for name, path in checked.episodes:
            self._episodes[name] += 1
            if self._episodes[name] == 2:
                yield Problem.of_episode(path, f"episode {quoted(name)} is in the dataset twice")


def check_shard(check: ShardCheck) -> Checked:
    """Returns what is wrong with a shard by itself, and what the whole dataset has to know."""
    checked = Checked()
    checked.problems.extend(_problems(check, checked))
    return checked


def _problems(check: ShardCheck, checked: Checked) -> Iterator[Problem]:
    dataset, shard = check.dataset, check.shard
    expected = [(shard.steps, STEPS_SCHEMA), (shard.episodes, EPISODES_SCHEMA)]
    expected += [(shard.labels, LABELS_SCHEMA)] if shard.labels else []
    problems = [p for entry, schema in expected for p in _check_schema(dataset, entry, schema)]
    for entry in shard.images:
        schema, found = _schema_of_images(dataset, entry, checked)
        problems += [*found, *_check_schema(dataset, entry, schema)]
    yield from problems
    if problems:
        return
    rows: Rows = {}
    path = shard.episodes.path
    try:
        table = open_parquet(dataset / path).read()
        yield from _check_episodes(table, shard, checked)
        rows.update((row["episode_id"], row) for row in table.to_pylist())
        path = shard.steps.path
        yield from _check_steps(open_parquet(dataset / path), shard, rows, checked)
        for entry in shard.images:
            path = entry.path
            yield from _check_appearance(open_parquet(dataset / path), path, check.appearance)
        path = shard.images[0].path if shard.images else path
        yield from _check_images(dataset, shard, rows, check.decode)
        if shard.labels is not None:
            path = shard.labels.path
            yield from _check_labels(open_parquet(dataset / path), path, rows)
    except UNREADABLE as error:
        yield Problem.unreadable(path, error)


def _check_schema(dataset: Path, entry: FileEntry, schema: pa.Schema) -> Iterator[Problem]:
    try:
        file = open_parquet(dataset / entry.path)
        actual, num_rows = file.schema_arrow, file.metadata.num_rows
        version = (actual.metadata or {}).get(VERSION_KEY.encode(), b"none").decode()
    except UNREADABLE as error:
        yield Problem.unreadable(entry.path, error)
        return
    if version != str(SCHEMA_VERSION):
        message = f"{entry.path} has the schema version {shown(version)}, not {SCHEMA_VERSION}."
        yield Problem("schema", entry.path, message)
    elif not actual.equals(schema):
        wrong = ", ".join(departures(file, schema))
        message = f"{entry.path} departs from the schema in the columns {wrong or 'in its order'}."
        yield Problem("schema", entry.path, message)
    elif num_rows != entry.num_rows:
        message = f"{entry.path} has {num_rows} rows, the manifest says {entry.num_rows}."
        yield Problem("schema", entry.path, message)


def _schema_of_images(
    dataset: Path, entry: FileEntry, checked: Checked
) -> tuple[pa.Schema, list[Problem]]:
    """Returns the schema that a file of images says it has, and what is wrong with that."""
    try:
        views = views_of_file(open_parquet(dataset / entry.path).schema_arrow)
    except UNREADABLE:
        return IMAGES_SCHEMA, []  # which the comparison with it says
    except DatasetError as error:
        return IMAGES_SCHEMA, [Problem("schema", entry.path, f"{entry.path}: {error}")]
    checked.views.append((entry.path, views))
    return images_schema(views), []


def _check_episodes(table: pa.Table, shard: Shard, checked: Checked) -> Iterator[Problem]:
    path, names = shard.episodes.path, table["episode_id"].to_pylist()
    if table.num_rows != shard.num_episodes:
        message = f"it has {table.num_rows} episodes, the manifest says {shard.num_episodes}"
        yield Problem.of_episode(path, message)
    if shard.num_attempts is not None and shard.num_attempts < shard.num_episodes:
        message = f"the manifest says {shard.num_attempts} attempts for {shard.num_episodes}"
        yield Problem.of_episode(path, f"{message} episodes")
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem.of_episode(path, f"episode {quoted(name)} has {count} rows")
    try:
        check_places(table, shard)
    except ValueError as error:
        yield Problem.of_episode(path, str(error))
    for row, sentence in wrong_episodes(table, shard.task):
        yield Problem.of_episode(path, f"episode {quoted(names[row])} {sentence}")
    for name, row in zip(names, table.select(_STARTS).to_pylist(), strict=True):
        which = row, pattern_of(name or "").number  # ways of an expert differ in no seed
        start = hashlib.sha256(repr(which).encode()).digest()[:16]  # a million are kept
        checked.starts.append((start, name, path))


def _check_steps(
    file: pq.ParquetFile, shard: Shard, rows: Rows, checked: Checked
) -> Iterator[Problem]:
    path, ids = shard.steps.path, set[str]()
    lengths = {row["row_group"]: row for row in rows.values()}
    for index in range(file.num_row_groups):
        num_rows, listed = file.metadata.row_group(index).num_rows, lengths.get(index)
        if listed is not None and listed["length"] != num_rows:  # before it takes memory
            name = listed["episode_id"]
            message = f"{_no_steps(listed)}: row group {index} has {num_rows} rows"
            yield Problem.of_episode(path, f"episode {quoted(name)} {message}")
            ids.add(name)
            continue
        try:
            table = file.read_row_group(index)
        except UNREADABLE as error:
            name = listed["episode_id"] if listed else f"of row group {index}"
            message = f"episode {quoted(name)} cannot be read: {first_line(error)}"
            yield Problem.of_episode(path, message)
            ids.add(name)
            continue
        name, message = _name_of(table, index)
        if message:
            yield Problem.of_episode(path, message)
            continue
        ids.add(name)
        checked.episodes.append((name, path))
        for sentence in _wrong_group(table, index, rows.get(name), shard):
            yield Problem.of_episode(path, f"episode {quoted(name)} {sentence}")
    if file.num_row_groups != shard.num_episodes:
        message = f"it holds {file.num_row_groups} episodes, the manifest says {shard.num_episodes}"
        yield Problem.of_episode(path, message)
    for unknown in rows.keys() - ids:
        message = f"episode {quoted(unknown)} of {shard.episodes.path} has no env steps"
        yield Problem.of_episode(path, message)


def _name_of(table: pa.Table, index: int) -> tuple[str, str]:
    """Returns the episode of a row group, and what is wrong with that."""
    names = table["episode_id"].unique().to_pylist()
    if not names or names[0] is None:
        return "", f"row group {index} has no episode_id"
    return names[0], f"row group {index} holds more than one episode" if names[1:] else ""


def _wrong_group(
    table: pa.Table, index: int, row: Mapping[str, Any] | None, shard: Shard
) -> Iterator[str]:
    if row is None:
        yield f"has no row in {shard.episodes.path}"
        return
    if row["row_group"] != index or row["task"] != shard.task:
        yield f"is not where {shard.episodes.path} says it is"
        return
    constant = [row[key] for key in ("length", "success", "init_state", "num_settle_steps")]
    if None in constant:
        return  # said of its row
    if not _counts(table, row["length"]):
        yield _no_steps(row)
        return
    yield from wrong_steps(table, row)


def _no_steps(row: Mapping[str, Any]) -> str:
    return f"does not have the steps 0 to {(row['length'] or 0) - 1}, each once"


def _counts(table: pa.Table, length: int) -> bool:
    if table.num_rows != length or table["step"].null_count:
        return False  # before a length that cannot be takes memory
    return np.array_equal(column_array(table, "step"), np.arange(table.num_rows))


def _check_appearance(file: pq.ParquetFile, path: str, appearance: str | None) -> Iterator[Problem]:
    found = appearance_of_file(file.schema_arrow)
    if found != appearance:
        message = f"the images have the appearance {quoted(found)}, the manifest says "
        yield Problem.of_episode(path, f"{message}{quoted(appearance)}")
    if not file.num_row_groups:
        yield Problem.of_episode(path, "it has no image")


def _check_images(dataset: Path, shard: Shard, rows: Rows, decode: bool) -> Iterator[Problem]:
    rendered: set[str] = set()
    looks: set[tuple[Any, ...]] = set()
    for entry in shard.images:
        try:
            file = open_parquet(dataset / entry.path)
            for index in range(file.num_row_groups):
                for message in _wrong_rendered(file, index, shard, rows, rendered, looks, decode):
                    yield Problem.of_episode(entry.path, message)
        except UNREADABLE as error:
            yield Problem.unreadable(entry.path, error)


def _wrong_rendered(
    file: pq.ParquetFile,
    index: int,
    shard: Shard,
    rows: Rows,
    rendered: set[str],
    looks: set[tuple[Any, ...]],
    decode: bool,
) -> Iterator[str]:
    table = file.read_row_group(index, columns=["episode_id", "step"])
    name, message = _name_of(table, index)
    if message:
        yield message
        return
    row = rows.get(name)
    if row is None:
        yield f"episode {quoted(name)} is not in {shard.steps.path}"
    elif name in rendered:
        yield f"episode {quoted(name)} has its images twice"
    elif row["length"] is None or not _counts(table, row["length"]):
        yield f"episode {quoted(name)} does not have images of each of its steps"
    else:
        for sentence in wrong_images(file.read_row_group(index), looks, decode=decode):
            yield f"episode {quoted(name)} {sentence}"
    rendered.add(name)


def _check_labels(file: pq.ParquetFile, path: str, rows: Rows) -> Iterator[Problem]:
    """Yields what is wrong with labels, whose row groups are those of the steps."""
    if file.num_row_groups != len(rows):
        message = f"it has labels of {file.num_row_groups} episodes, the shard has {len(rows)}"
        yield Problem.of_episode(path, message)
        return
    for index, (name, row) in enumerate(rows.items()):
        table = file.read_row_group(index)
        found, message = _name_of(table, index)
        if message or found != name:
            message = message or f"row group {index} is of {quoted(found)}, not {quoted(name)}"
            yield Problem.of_episode(path, message)
        elif row["length"] is None or not _counts(table, row["length"]):
            message = f"episode {quoted(name)} does not have labels of each of its steps"
            yield Problem.of_episode(path, message)
        else:
            for sentence in wrong_labels(table, row):
                yield Problem.of_episode(path, f"episode {quoted(name)} {sentence}")
