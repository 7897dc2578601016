"""Finds damage in a compact dataset."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from rl_datagen.core.errors import DatasetError, quoted, shown
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.compact import (
    COMPACT_SCHEMA,
    COMPACT_VERSION,
    CompactFile,
    CompactManifest,
    read_compact_manifest,
)
from rl_datagen.data.manifest import MANIFEST_NAME
from rl_datagen.data.names import check_compact_names
from rl_datagen.data.problems import Problem, VerifyReport, check_bytes
from rl_datagen.data.rules import Ranges, miscounted, wrong_episodes, wrong_numbers
from rl_datagen.data.schema import VERSION_KEY
from rl_datagen.data.shards import UNREADABLE, departures, open_parquet

_BATCH = 64  # episodes in memory at a time
_RANGES: Ranges = {
    "part": (0, 999_999_999),
    "num_steps_to_success": (1, 1_000_000),
    "actions": (-1, 1),
    "decisions": (0, 2**31 - 1),
    "state_sums": (0, 2**16 - 1),
}


def verify_compact(folder: Path, progress: Progress = SILENT) -> VerifyReport:
    """Compares every file with the manifest, and every value with the schema and the rules.

    Args:
        folder: The compact dataset.
        progress: Told of each file.

    Raises:
        DatasetError: The folder holds no compact dataset at all.
    """
    if not (folder / MANIFEST_NAME).is_file():
        read_compact_manifest(folder)  # says what is missing
    try:
        manifest = read_compact_manifest(folder)
    except DatasetError as error:
        return VerifyReport(folder, 0, 0, 0, 0, (Problem("manifest", MANIFEST_NAME, str(error)),))
    counts: Counter[str] = Counter()
    problems = tuple(_problems(folder, manifest, counts, progress))
    return VerifyReport(
        dataset=folder,
        num_shards=len(manifest.files),
        num_episodes=sum(each.file.num_rows for each in manifest.files),
        num_rows=counts["steps"],
        num_bytes=sum(each.file.num_bytes for each in manifest.files),
        problems=problems,
        content_hash=manifest.content_hash,
    )


def _problems(
    folder: Path, manifest: CompactManifest, counts: Counter[str], progress: Progress
) -> Iterator[Problem]:
    listed = {each.file.sha256: each.file.path for each in manifest.files}
    seen: Counter[str] = Counter()
    progress.start("verify", len(manifest.files), "files")
    for each in manifest.files:
        progress.advance(1, each.task)
        damage = list(check_bytes(folder, each.file, listed))
        yield from damage
        if damage:
            continue
        try:
            for message in _check_file(folder, each, seen, counts):
                yield Problem.of_episode(each.file.path, message)
        except UNREADABLE as error:
            yield Problem.unreadable(each.file.path, error)
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if not path.name.startswith(".") and name not in listed.values():
            yield Problem("extra", name, f"{name} is not listed in the manifest.")


def _check_file(
    folder: Path, each: CompactFile, seen: Counter[str], counts: Counter[str]
) -> Iterator[str]:
    file = open_parquet(folder / each.file.path)
    version = (file.schema_arrow.metadata or {}).get(VERSION_KEY.encode(), b"none").decode()
    if not file.schema_arrow.equals(COMPACT_SCHEMA):
        wrong = ", ".join(departures(file, COMPACT_SCHEMA))
        yield f"it departs from the schema of compact datasets in the columns {wrong}"
        return
    if version not in ("none", f"compact-{COMPACT_VERSION}"):
        yield f"it has the schema version {shown(version)}, not compact-{COMPACT_VERSION}"
        return
    if (num_rows := file.metadata.num_rows) != each.file.num_rows:
        yield f"it has {num_rows} rows, the manifest says {each.file.num_rows}"
    parts: list[int] = []
    for batch in file.iter_batches(_BATCH):
        table = pa.Table.from_batches([batch])
        yield from _check_episodes(table, each.task, seen)
        counts["steps"] += sum(length or 0 for length in table["length"].to_pylist())
        parts += [part or 0 for part in table["part"].to_pylist()]
    if parts != sorted(parts):
        yield "its episodes are not in the order of their shards"
    for part, attempts in each.num_attempts.items():
        if attempts is not None and attempts < parts.count(part):
            yield f"the manifest says {attempts} attempts for {parts.count(part)} episodes"


def _check_episodes(table: pa.Table, task: str, seen: Counter[str]) -> Iterator[str]:
    try:
        check_compact_names(table, task)
    except ValueError as error:
        yield str(error)
    names = table["episode_id"].to_pylist()
    for name in names:
        seen[name] += 1
        if seen[name] == 2:
            yield f"episode {quoted(name)} is in the dataset twice"
    problems = [*wrong_episodes(table, task), *wrong_numbers(table, _RANGES)]
    if not problems:
        problems = list(_wrong_arrays(table))
    for row, sentence in problems:
        yield f"episode {quoted(names[row])} {sentence}"


def _wrong_arrays(table: pa.Table) -> Iterator[tuple[int, str]]:
    """Yields what does not agree within an episode."""
    columns = ("length", "success", "num_steps_to_success", "states_sha256")
    for row, (length, success, reached, digest) in enumerate(
        zip(*(table[name].to_pylist() for name in columns), strict=True)
    ):
        arrays = [table[name][row].values for name in ("actions", "decisions", "state_sums")]
        if (lengths := {len(each) for each in arrays}) != {length}:
            yield row, f"says {length} env steps and has {', '.join(map(str, sorted(lengths)))}"
            continue
        if miscounted(arrays[1].to_numpy(zero_copy_only=False)) is not None:
            yield row, "has decisions that do not count the policy's calls from 0, without a gap"
        if success != (reached is not None) or (reached or 1) > length:
            yield row, f"has num_steps_to_success {reached}, with success={success}"
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            yield row, f"has states_sha256 {quoted(digest)}, which is not a SHA-256"
