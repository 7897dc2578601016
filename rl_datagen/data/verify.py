"""Finds damage in a dataset, whether it happened to the files or in the program that wrote them."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.storage import sha256
from rl_datagen.data.dataset import check_places
from rl_datagen.data.manifest import (
    FileEntry,
    Manifest,
    Shard,
    next_step,
    read_manifest,
)
from rl_datagen.data.schema import (
    EPISODES_SCHEMA,
    IMAGES_SCHEMA,
    SCHEMA_VERSION,
    STEPS_SCHEMA,
    VERSION_KEY,
)
from rl_datagen.data.shards import column_array, open_parquet, row_groups

Kind = Literal[
    "manifest", "missing", "truncated", "checksum", "swapped", "extra", "schema", "episode"
]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: What sort of damage.
        path: The damaged file, relative to the dataset.
        message: A sentence that names the file, and the checksums where they differ.
    """

    kind: Kind
    path: str
    message: str


@dataclass(frozen=True)
class VerifyReport:
    """What was looked at and what was wrong.

    Attributes:
        dataset: The dataset's folder.
        num_shards: Shards the manifest lists.
        num_episodes: Episodes the manifest lists.
        num_rows: Env steps the manifest lists.
        num_bytes: Size of the listed files.
        problems: Empty for a sound dataset.
        content_hash: See ``Manifest``; empty if the manifest cannot be read.
    """

    dataset: Path
    num_shards: int
    num_episodes: int
    num_rows: int
    num_bytes: int
    problems: tuple[Problem, ...]
    content_hash: str = ""

    @property
    def ok(self) -> bool:
        """Whether the dataset is sound."""
        return not self.problems

    def check(self) -> None:
        """Raises if anything is wrong.

        Raises:
            DatasetError: Names each problem and the next step.
        """
        if self.problems:
            found = "\n".join(f"- {problem.message}" for problem in self.problems)
            raise DatasetError(
                f"Dataset {self.dataset} has {len(self.problems)} problem(s):\n{found}\n"
                f"{next_step(self.dataset)}"
            )


def verify(dataset: Path) -> VerifyReport:
    """Compares every file with the manifest, and every episode with the schema and its constants.

    Raises:
        DatasetError: The folder holds no dataset at all.
    """
    if not (dataset / "manifest.json").is_file():
        read_manifest(dataset)  # says what is missing
    try:
        manifest = read_manifest(dataset)
    except DatasetError as error:
        problem = Problem("manifest", "manifest.json", str(error))
        return VerifyReport(dataset, 0, 0, 0, 0, (problem,))
    return VerifyReport(
        dataset=dataset,
        num_shards=len(manifest.shards),
        num_episodes=sum(shard.num_episodes for shard in manifest.shards),
        num_rows=sum(shard.steps.num_rows for shard in manifest.shards),
        num_bytes=sum(file.num_bytes for file in manifest.files()),
        problems=tuple(_problems(dataset, manifest)),
        content_hash=manifest.content_hash,
    )


def _problems(dataset: Path, manifest: Manifest) -> Iterator[Problem]:
    damaged: set[str] = set()
    listed = {file.sha256: file.path for file in manifest.files()}
    for entry in manifest.files():
        for problem in check_bytes(dataset, entry, listed):
            damaged.add(entry.path)
            yield problem
    yield from _extra_files(dataset, manifest)
    seen: Counter[str] = Counter()
    starts: dict[bytes, str] = {}
    for shard in manifest.shards:
        if not damaged.intersection(file.path for file in shard.files()):
            yield from _check_shard(dataset, shard, seen, starts)


def check_bytes(dataset: Path, entry: FileEntry, listed: dict[str, str]) -> Iterator[Problem]:
    """Yields what is wrong with a file's bytes; ``listed`` says whose they are, by checksum."""
    path = dataset / entry.path
    if not path.is_file():
        yield Problem("missing", entry.path, f"{entry.path} is missing.")
        return
    actual = sha256(path)
    if actual == entry.sha256:
        return
    sums = f"its SHA-256 is {actual}, the manifest says {entry.sha256}"
    size = path.stat().st_size
    if actual in listed:
        message = f"{entry.path} holds the content of {listed[actual]}: {sums}."
        yield Problem("swapped", entry.path, message)
    elif size < entry.num_bytes:
        message = f"{entry.path} is cut off at {size} of {entry.num_bytes} bytes: {sums}."
        yield Problem("truncated", entry.path, message)
    else:
        yield Problem("checksum", entry.path, f"{entry.path} is damaged: {sums}.")


def _extra_files(dataset: Path, manifest: Manifest) -> Iterator[Problem]:
    listed = {file.path for file in manifest.files()}
    for folder in ("shards", "episodes", "images"):
        for path in sorted((dataset / folder).rglob("*")):
            name = path.relative_to(dataset).as_posix()
            if path.is_file() and not path.name.startswith(".") and name not in listed:
                yield Problem("extra", name, f"{name} is not listed in the manifest.")


def _check_shard(
    dataset: Path, shard: Shard, seen: Counter[str], starts: dict[bytes, str]
) -> Iterator[Problem]:
    expected = [(shard.steps, STEPS_SCHEMA), (shard.episodes, EPISODES_SCHEMA)]
    expected += [(images, IMAGES_SCHEMA) for images in shard.images]
    problems = [p for entry, schema in expected for p in _check_schema(dataset, entry, schema)]
    yield from problems
    if problems:
        return
    name = shard.steps.path
    try:
        check_places(open_parquet(dataset / shard.episodes.path).read(), shard)
    except ValueError as error:
        yield Problem("episode", shard.episodes.path, f"{shard.episodes.path}: {error}.")
    constants = _constants(dataset, shard)
    ids: list[str] = []
    for index, table in enumerate(row_groups(open_parquet(dataset / name))):
        for message in _check_episode(table, index, shard, constants):
            yield Problem("episode", name, f"{name}: {message}")
        episode_id = table["episode_id"][0].as_py()
        ids.append(episode_id)
        seen[episode_id] += 1
        if seen[episode_id] == 2:
            message = f"{name}: episode '{episode_id}' is in the dataset twice."
            yield Problem("episode", name, message)
    if len(ids) != shard.num_episodes:
        message = f"{name} holds {len(ids)} episodes, the manifest says {shard.num_episodes}."
        yield Problem("episode", name, message)
    for unknown in constants.keys() - set(ids):
        message = f"{name}: episode '{unknown}' of {shard.episodes.path} has no env steps."
        yield Problem("episode", name, message)
    yield from _check_starts(dataset, shard, starts)
    yield from _check_images(dataset, shard, constants)


def _check_starts(dataset: Path, shard: Shard, starts: dict[bytes, str]) -> Iterator[Problem]:
    """Finds episodes of the same actor that began alike, init state and seed."""
    columns = ["task", "source", "expert", "seed", "init_state", "fixture_poses"]
    table = open_parquet(dataset / shard.episodes.path).read()
    for name, row in zip(
        table["episode_id"].to_pylist(), table.select(columns).to_pylist(), strict=True
    ):
        start = hashlib.sha256(repr(row).encode()).digest()
        first = starts.setdefault(start, name)
        if first != name:
            path = shard.episodes.path
            message = f"{path}: episode '{name}' repeats '{first}': same init state and seed."
            yield Problem("episode", path, message)


def _check_schema(dataset: Path, entry: FileEntry, schema: pa.Schema) -> Iterator[Problem]:
    try:
        file = open_parquet(dataset / entry.path)
    except DatasetError as error:
        yield Problem("schema", entry.path, str(error))
        return
    actual = file.schema_arrow
    version = (actual.metadata or {}).get(VERSION_KEY.encode(), b"none").decode()
    if version != str(SCHEMA_VERSION):
        message = f"{entry.path} has the schema version {version}, not {SCHEMA_VERSION}."
        yield Problem("schema", entry.path, message)
    elif not actual.equals(schema):
        wrong = [field.name for field in schema if field not in list(actual)]
        wrong += [field.name for field in actual if field.name not in schema.names]
        message = f"{entry.path} departs from the schema in the columns {', '.join(wrong)}."
        yield Problem("schema", entry.path, message)
    elif file.metadata.num_rows != entry.num_rows:
        rows = file.metadata.num_rows
        message = f"{entry.path} has {rows} rows, the manifest says {entry.num_rows}."
        yield Problem("schema", entry.path, message)


def _constants(dataset: Path, shard: Shard) -> dict[str, dict[str, Any]]:
    columns = ["episode_id", "task", "source", "success", "length", "row_group"]
    rows = open_parquet(dataset / shard.episodes.path).read(columns=columns).to_pylist()
    return {row["episode_id"]: row for row in rows}


def _check_episode(
    table: pa.Table, index: int, shard: Shard, constants: dict[str, dict[str, Any]]
) -> Iterator[str]:
    name = table["episode_id"][0].as_py()
    if len(table["episode_id"].unique()) > 1:
        yield f"row group {index} holds more than one episode."
        return
    row = constants.get(name)
    if row is None:
        yield f"episode '{name}' has no row in {shard.episodes.path}."
        return
    if not np.array_equal(column_array(table, "step"), np.arange(row["length"])):
        yield f"episode '{name}' does not have the steps 0 to {row['length'] - 1}, each once."
    if row["row_group"] != index or {row["task"]} != {shard.task, *table["task"].to_pylist()}:
        yield f"episode '{name}' is not where {shard.episodes.path} says it is."
    if column_array(table, "terminated")[-1] != row["success"]:
        yield f"episode '{name}' is marked success={row['success']} but ends otherwise."
    for column in table.schema:
        if column.name not in ("decision", "step") and not _is_finite(table, column):
            yield f"episode '{name}' has a value of {column.name} that is null or not finite."


def _is_finite(table: pa.Table, field: pa.Field) -> bool:
    if table[field.name].null_count:
        return False
    kind = getattr(field.type, "value_type", field.type)
    return not pa.types.is_floating(kind) or bool(
        np.isfinite(column_array(table, field.name)).all()
    )


def _check_images(
    dataset: Path, shard: Shard, constants: dict[str, dict[str, Any]]
) -> Iterator[Problem]:
    rendered: set[str] = set()
    for entry in shard.images:
        file = open_parquet(dataset / entry.path)
        for index in range(file.num_row_groups):
            table = file.read_row_group(index, columns=["episode_id", "step"])
            name = table["episode_id"][0].as_py()
            row = constants.get(name)
            message = ""
            if row is None:
                message = f"episode '{name}' is not in {shard.steps.path}."
            elif name in rendered:
                message = f"episode '{name}' has its images twice."
            elif not np.array_equal(column_array(table, "step"), np.arange(row["length"])):
                message = f"episode '{name}' does not have images of each of its steps."
            if message:
                yield Problem("episode", entry.path, f"{entry.path}: {message}")
            rendered.add(name)
