"""The compact form of a dataset: what episodes cannot be computed from, and digests of the rest.

A folder with ``manifest.json`` and for each task ``<task>.parquet`` with a row per episode. An
episode's init state, fixture poses and actions give all its states, observations and images
again, bit for bit, on the versions that the manifest names: a thirtieth of the states' size, and
less than a thousandth of the images'. The files are plain:
``pyarrow.parquet.read_table(path).to_pylist()`` reads them.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int32, UInt16
from pydantic import Field, ValidationError, model_validator

from rl_datagen.config import Backend
from rl_datagen.core.errors import DatasetError, shown
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.provenance import PINNED
from rl_datagen.data.dataset import read_episodes, read_trajectories
from rl_datagen.data.files import writing
from rl_datagen.data.manifest import (
    MANIFEST_NAME,
    Entry,
    FileEntry,
    Manifest,
    check_file,
    describe_file,
    hash_files,
    part_of,
    read_manifest,
    read_sealed,
    write_manifest,
)
from rl_datagen.data.names import Number, TaskId, check_compact_names, refused
from rl_datagen.data.schema import EPISODES_SCHEMA, VERSION_KEY, describe_field
from rl_datagen.data.shards import episode_row, read_parquet, write_parquet
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks import get_task

COMPACT_VERSION = 1
"""Raised by any change that a reader must know of."""


def _fields(*names: str) -> list[pa.Field]:
    return [EPISODES_SCHEMA.field(name) for name in names]


COMPACT_SCHEMA = pa.schema(
    [
        *_fields("episode_id", "task", "suite", "instruction", "source", "expert"),
        describe_field("part", pa.int32(), "number of its shard among those of its task"),
        *_fields("seed", "init_state_index", "init_state", "fixture_poses", "num_settle_steps"),
        *_fields("success"),
        describe_field(
            "num_steps_to_success", pa.int32(), "env steps until it was first; null: never"
        ),
        *_fields("length"),
        describe_field(
            "actions",
            pa.list_(pa.list_(pa.float32(), 7)),
            "position 3 (1.0 = 0.05 m), axis-angle 3 (1.0 = 0.5 rad), gripper (-1 open, +1 close)",
        ),
        describe_field(
            "decisions", pa.list_(pa.int32()), "policy call each action came from, from 0"
        ),
        describe_field(
            "state_sums", pa.list_(pa.uint16()), "check sum of the states up to each step"
        ),
        describe_field("states_sha256", pa.string(), "SHA-256 of all states: [T, S] float64"),
    ],
    metadata={VERSION_KEY: f"compact-{COMPACT_VERSION}"},
)


Part = Annotated[int, Field(ge=0)]
"""Of a shard; JSON has it as text."""


class CompactFile(Entry):
    """One task's episodes.

    Attributes:
        task: Task id.
        file: Its file.
        num_attempts: Episodes that were run for each shard, by its number.
        origin: Which of the manifest's origins it is of.
    """

    task: TaskId
    file: FileEntry
    num_attempts: dict[Part, Number | None]
    origin: Number

    @model_validator(mode="after")
    def _is_where_it_belongs(self) -> Self:
        if self.file.path != f"{self.task}.parquet":
            raise ValueError(f"the file of {self.task} is '{self.task}.parquet', no other")
        return self


class Origin(Entry):
    """A dataset that was made compact: its configuration and provenance."""

    config: dict[str, Any]
    provenance: dict[str, Any]


class CompactManifest(Entry):
    """What a compact dataset holds.

    Attributes:
        kind: Tells it from a dataset's manifest.
        schema_version: ``COMPACT_VERSION`` of the writer.
        versions: Of the packages that decide what actions do.
        backend: ``sim.backend`` that stepped them.
        origins: The datasets it was made of.
        files: A task each, in the order of the 130.
    """

    kind: Literal["compact"] = "compact"
    schema_version: int = COMPACT_VERSION
    versions: dict[str, str]
    backend: Backend
    origins: tuple[Origin, ...]
    files: tuple[CompactFile, ...]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        tasks = [each.task for each in self.files]
        if len(set(tasks)) < len(tasks):
            raise ValueError("a task is listed twice")
        if any(each.origin >= len(self.origins) for each in self.files):
            raise ValueError("a file is of an origin that is not listed")
        return self

    @property
    def content_hash(self) -> str:
        """SHA-256 over names and checksums of all files: equal if and only if these are equal."""
        return hash_files(each.file for each in self.files)


@dataclass(frozen=True, eq=False)
class CompactEpisode:
    """What an episode is computed from, and what it must give.

    Attributes:
        row: The columns that are constant in it; see ``COMPACT_SCHEMA``.
        init_state: ``[S]``: time (s), qpos, qvel before settling.
        fixture_poses: ``[Nf, 7]``.
        actions: ``[T, 7]``.
        decisions: ``[T]``.
        state_sums: ``[T]``.
        states_sha256: Hexadecimal.
    """

    row: Mapping[str, Any]
    init_state: Float64[np.ndarray, " S"]
    fixture_poses: Float64[np.ndarray, "Nf 7"]
    actions: Float32[np.ndarray, "T 7"]
    decisions: Int32[np.ndarray, " T"]
    state_sums: UInt16[np.ndarray, " T"]
    states_sha256: str

    @property
    def episode_id(self) -> str:
        """Unique and stable."""
        return self.row["episode_id"]


def is_compact(folder: Path) -> bool:
    """Whether a folder's manifest is that of a compact dataset."""
    try:
        return json.loads((folder / MANIFEST_NAME).read_text("utf-8")).get("kind") == "compact"
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def compact(
    source: Path, out: Path, progress: Progress = SILENT, *, replace: bool = False
) -> CompactManifest:
    """Writes the compact form of a dataset, or adds its tasks to one that is there.

    A task that is there already with the same episodes is left alone: a call that was killed is
    continued by the same call, and a release grows task by task.

    Args:
        source: The dataset.
        out: Folder of the compact form.
        progress: Told of each task.
        replace: Whether a task that is there with other episodes gets these in their place.

    Raises:
        DatasetError: The source is damaged or of several versions, ``out`` is something else or of
            other versions, or has other episodes of one of the tasks and ``replace`` is false.
    """
    manifest = read_manifest(source)
    rows = read_episodes(source).to_pylist()
    versions, backend = _versions(source, rows), _backend(source, manifest)
    there = CompactManifest(versions=versions, backend=backend, origins=(), files=())
    if out.exists():
        there = read_compact_manifest(out)
    if (there.versions, there.backend) != (versions, backend):
        raise DatasetError(
            f"{out} is of {_list(there.versions)} and sim.backend '{there.backend}', {source} of "
            f"{_list(versions)} and '{backend}': a compact dataset replays on one. Nothing was "
            "written. Choose another folder."
        )
    origin = Origin(config=manifest.config, provenance=manifest.provenance)
    progress.start("compact", len({shard.task for shard in manifest.shards}), "tasks")
    for task, shards in groupby(manifest.shards, key=lambda shard: shard.task):
        attempts = {shard.part: shard.num_attempts for shard in shards}
        of_task = {row["episode_id"]: row for row in rows if row["task"] == task}
        there = _add_task(source, out, there, origin, attempts, of_task, replace=replace)
        progress.advance(1, task)
    return there


def _add_task(
    source: Path,
    out: Path,
    manifest: CompactManifest,
    origin: Origin,
    attempts: dict[int, int | None],
    rows: Mapping[str, Mapping[str, Any]],
    *,
    replace: bool,
) -> CompactManifest:
    task = next(iter(rows.values()))["task"]
    table = pa.Table.from_pylist(
        [_row(t, rows[t.episode_id]) for t in read_trajectories(source, task=task)],
        schema=COMPACT_SCHEMA,
    )
    present = {each.task: each.file for each in manifest.files}
    if task in present:
        # Ids alone do not tell: another expert's episodes of the same seed have them too.
        if _read_table(out, task, present[task]).equals(table):
            return manifest
        if not replace:
            raise DatasetError(
                f"{out} has other episodes of {task} than {source}. Nothing was changed. "
                "--replace puts these in their place; else choose another folder."
            )
    with writing(out):
        if task in present:
            # Killed before the end, a task is missing rather than another than the manifest says.
            manifest = _without(manifest, task)
            write_manifest(out, manifest)
        path = f"{task}.parquet"
        write_parquet(out / path, COMPACT_SCHEMA, [table])
        origins = manifest.origins
        if origin not in origins:
            origins = (*origins, origin)
        entry = CompactFile(
            task=task,
            file=describe_file(out, path, table.num_rows),
            num_attempts=attempts,
            origin=origins.index(origin),
        )
        files = sorted((*manifest.files, entry), key=lambda each: get_task(each.task))
        manifest = manifest.model_copy(update={"origins": origins, "files": tuple(files)})
        write_manifest(out, manifest)
    return manifest


def _without(manifest: CompactManifest, task: str) -> CompactManifest:
    """Forgets a task, and the origin that only it was of."""
    files = [each for each in manifest.files if each.task != task]
    used = sorted({each.origin for each in files})
    renumbered = [each.model_copy(update={"origin": used.index(each.origin)}) for each in files]
    origins = tuple(manifest.origins[number] for number in used)
    return manifest.model_copy(update={"origins": origins, "files": tuple(renumbered)})


def _row(trajectory: Trajectory, constants: Mapping[str, Any]) -> dict[str, Any]:
    reached = np.flatnonzero(trajectory.reward)
    sums, digest = digest_states(trajectory.sim_state)
    row = episode_row(
        trajectory,
        expert=constants["expert"],
        part=part_of(constants["shard"]),
        num_steps_to_success=int(reached[0]) + 1 if len(reached) else None,
        actions=list(trajectory.action),
        decisions=trajectory.decision,
        state_sums=sums,
        states_sha256=digest,
    )
    return {name: row[name] for name in COMPACT_SCHEMA.names}


def digest_states(states: Float64[np.ndarray, "T S"]) -> tuple[UInt16[np.ndarray, " T"], str]:
    """Returns a check sum of the states up to each env step, and the SHA-256 of all of them.

    The sums say at which step a replay leaves the record; the digest, that it never does.
    """
    states = np.ascontiguousarray(states, "<f8")
    total, sums = 0, np.zeros(len(states), np.uint16)
    for step, state in enumerate(states):
        total = zlib.crc32(state.tobytes(), total)
        sums[step] = total & 0xFFFF
    return sums, hashlib.sha256(states.tobytes()).hexdigest()


def read_compact_manifest(folder: Path) -> CompactManifest:
    """Returns the manifest of a compact dataset.

    Raises:
        DatasetError: There is none, it was edited, or another release wrote it.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise DatasetError(
            f"'{folder}' is not a compact dataset: it has no {MANIFEST_NAME}. Give the folder that "
            "holds it, such as release/libero130."
        )
    body = read_sealed(path)
    if body.get("kind") != "compact":
        raise DatasetError(
            f"'{folder}' is a dataset, not a compact one: it can be read as it is. `rl-datagen "
            f"dataset compact {folder} OUT` makes it compact."
        )
    if (version := body.get("schema_version")) != COMPACT_VERSION:
        raise DatasetError(
            f"{path} has the version {shown(version)}; this release reads {COMPACT_VERSION}. Read "
            "it with the release that wrote it."
        )
    try:
        return CompactManifest.model_validate(body)
    except ValidationError as error:
        raise refused(path, error) from None


def check_versions(folder: Path, manifest: CompactManifest, installed: Mapping[str, Any]) -> None:
    """Refuses to replay on other versions than those the episodes were recorded with.

    Raises:
        DatasetError: Names both, and what to install.
    """
    other = {k: v for k, v in manifest.versions.items() if installed.get(k) != v}
    if other:
        found = {name: installed.get(name) or "not installed" for name in other}
        wanted = " ".join(f"{shown(name)}=={shown(version)}" for name, version in other.items())
        raise DatasetError(
            f"The episodes of {folder} replay on {_list(other)}; installed is {_list(found)}, "
            f"which steps otherwise. Nothing was written. Run `pip install {wanted}`."
        )


def read_compact(folder: Path, task: str) -> Iterator[CompactEpisode]:
    """Yields a task's episodes, in the order they were recorded in.

    Raises:
        DatasetError: The folder has none of this task, or its file is missing or damaged.
    """
    files = {each.task: each.file for each in read_compact_manifest(folder).files}
    if task not in files:
        raise DatasetError(f"{folder} has no episodes of {task}. It has {', '.join(files)}.")
    for row in _read_table(folder, task, files[task]).to_pylist():
        yield _episode(row)


def read_names(folder: Path, file: CompactFile) -> list[str]:
    """Returns the ids of a task's episodes; raises as ``read_compact``."""
    return _read_table(folder, file.task, file.file)["episode_id"].to_pylist()


def _read_table(folder: Path, task: str, file: FileEntry) -> pa.Table:
    """Returns a task's rows, whose names are checked: hydrated files are called after them."""
    path = check_file(folder, file)
    table = read_parquet(path, COMPACT_SCHEMA)
    try:
        check_compact_names(table, task)
    except ValueError as error:
        raise refused(path, error) from None
    return table


def _episode(row: dict[str, Any]) -> CompactEpisode:
    return CompactEpisode(
        row,
        np.array(row.pop("init_state"), np.float64),
        np.array(row.pop("fixture_poses"), np.float64).reshape(-1, 7),
        np.array(row.pop("actions"), np.float32).reshape(-1, 7),
        np.array(row.pop("decisions"), np.int32),
        np.array(row.pop("state_sums"), np.uint16),
        row.pop("states_sha256"),
    )


def _versions(source: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    columns = ("mujoco_version", "robosuite_version", "libero_version")
    found = list({tuple(row[column] for column in columns) for row in rows})
    if len(found) != 1:
        raise DatasetError(
            f"{source} has no episodes, or episodes recorded with {len(found)} sets of versions; "
            "a compact dataset replays on one."
        )
    return dict(zip(PINNED, found[0], strict=True))


def _backend(source: Path, manifest: Manifest) -> Backend:
    backend, *others = manifest.backends
    if others:
        raise DatasetError(
            f"{source} has episodes of the sim.backends {' and '.join(manifest.backends)}; a "
            "compact dataset replays with one."
        )
    return backend


def _list(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{shown(name)} {shown(version)}" for name, version in versions.items())
