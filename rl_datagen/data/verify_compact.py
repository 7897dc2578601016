"""Finds damage in a compact dataset."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.compact import (
    COMPACT_SCHEMA,
    CompactFile,
    CompactManifest,
    check_compact_names,
    read_compact_manifest,
)
from rl_datagen.data.manifest import MANIFEST_NAME
from rl_datagen.data.shards import open_parquet
from rl_datagen.data.verify import Problem, VerifyReport, check_bytes


def verify_compact(folder: Path) -> VerifyReport:
    """Compares every file with the manifest, and every episode with the schema and itself.

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
    problems = tuple(_problems(folder, manifest, counts))
    return VerifyReport(
        dataset=folder,
        num_shards=len(manifest.files),
        num_episodes=sum(each.file.num_rows for each in manifest.files),
        num_rows=counts["steps"],
        num_bytes=sum(each.file.num_bytes for each in manifest.files),
        problems=problems,
        content_hash=manifest.content_hash,
    )


def _problems(folder: Path, manifest: CompactManifest, counts: Counter[str]) -> Iterator[Problem]:
    listed = {each.file.sha256: each.file.path for each in manifest.files}
    seen: Counter[str] = Counter()
    for each in manifest.files:
        damage = list(check_bytes(folder, each.file, listed))
        yield from damage
        if not damage:
            for message in _check_episodes(folder, each, seen, counts):
                yield Problem("episode", each.file.path, f"{each.file.path}: {message}")
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if not path.name.startswith(".") and name not in listed.values():
            yield Problem("extra", name, f"{name} is not listed in the manifest.")


def _check_episodes(
    folder: Path, each: CompactFile, seen: Counter[str], counts: Counter[str]
) -> Iterator[str]:
    table = open_parquet(folder / each.file.path).read()
    if not table.schema.equals(COMPACT_SCHEMA):
        yield "it departs from the schema of compact datasets."
        return
    if table.num_rows != each.file.num_rows:
        yield f"it has {table.num_rows} rows, the manifest says {each.file.num_rows}."
    try:
        check_compact_names(table, each.task)
    except ValueError as error:
        yield f"{error}."
    for row in table.to_pylist():
        name = row["episode_id"]
        counts["steps"] += row["length"] or 0
        seen[name] += 1
        if seen[name] == 2:
            yield f"episode '{name}' is in the dataset twice."
        for wrong in _check_row(row, each.task):
            yield f"episode '{name}' {wrong}."


def _check_row(row: dict[str, Any], task: str) -> Iterator[str]:
    if row["task"] != task:
        yield f"is of {row['task']}"
    nullable = ("expert", "init_state_index", "num_steps_to_success")
    if missing := [key for key, value in row.items() if value is None and key not in nullable]:
        yield f"has no {missing[0]}"
        return
    lengths = {len(row[key]) for key in ("actions", "decisions", "state_sums")}
    if lengths != {row["length"]}:
        yield f"says {row['length']} env steps and has {', '.join(map(str, sorted(lengths)))}"
        return
    actions = np.array(row["actions"], np.float64)
    if not (np.abs(actions) <= 1).all():
        yield "has an action that is not in [-1, 1]"
    if not np.isfinite(row["init_state"]).all() or not np.isfinite(row["fixture_poses"]).all():
        yield "starts from a state that is not finite"
