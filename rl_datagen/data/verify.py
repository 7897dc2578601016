"""Finds damage in a dataset, whether it happened to the files or in the program that wrote them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.manifest import MANIFEST_NAME, FileEntry, Manifest, read_manifest
from rl_datagen.data.problems import Problem, VerifyReport, check_bytes
from rl_datagen.data.verify_shard import Checked, Seen, ShardCheck, check_shard

__all__ = ["Problem", "VerifyReport", "verify"]

CheckShards = Callable[[Sequence[ShardCheck], Progress], Iterable[Checked]]
"""Checks shards, here or elsewhere, and returns what is found in their order."""


def check_shards(checks: Sequence[ShardCheck], progress: Progress) -> Iterator[Checked]:
    """Checks shards one after the other."""
    progress.start("verify", len(checks), "shards read")
    for check in checks:
        yield check_shard(check)
        progress.advance(1, check.shard.task)


def verify(
    dataset: Path,
    *,
    quick: bool = False,
    check: CheckShards = check_shards,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Compares every file with the manifest, and every value with the schema and the rules.

    One episode is in memory at a time, and of each its name and a digest.

    Args:
        dataset: The dataset's folder.
        quick: Do not decode the images.
        check: Checks the shards; ``jobs.check_dataset`` on many cores.
        progress: Told of each file and each shard.

    Raises:
        DatasetError: The folder holds no dataset at all.
    """
    if not (dataset / MANIFEST_NAME).is_file():
        read_manifest(dataset)  # says what is missing
    try:
        manifest = read_manifest(dataset)
    except DatasetError as error:
        problem = Problem("manifest", MANIFEST_NAME, str(error))
        return VerifyReport(dataset, 0, 0, 0, 0, (problem,))
    return VerifyReport(
        dataset=dataset,
        num_shards=len(manifest.shards),
        num_episodes=sum(shard.num_episodes for shard in manifest.shards),
        num_rows=sum(shard.steps.num_rows for shard in manifest.shards),
        num_bytes=sum(file.num_bytes for file in manifest.files()),
        problems=tuple(_problems(dataset, manifest, quick, check, progress)),
        content_hash=manifest.content_hash,
    )


def _problems(
    dataset: Path, manifest: Manifest, quick: bool, check: CheckShards, progress: Progress
) -> Iterator[Problem]:
    damaged: set[str] = set()
    for problem in _wrong_bytes(dataset, manifest, progress):
        damaged.add(problem.path)
        yield problem
    yield from _extra_files(dataset, manifest)
    appearance, seen = manifest.images_appearance, Seen()
    checks = [
        ShardCheck(dataset, shard, appearance, decode=not quick)
        for shard in manifest.shards
        if not damaged.intersection(file.path for file in shard.files())
    ]
    for checked in check(checks, progress):
        yield from seen.take(checked)


def _wrong_bytes(dataset: Path, manifest: Manifest, progress: Progress) -> Iterator[Problem]:
    listed = {file.sha256: file.path for file in manifest.files()}
    progress.start("verify", len(listed), "files compared")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves Python to other threads
        compare = partial(_compare, dataset, listed)
        for found in pool.map(compare, manifest.files()):
            yield from found
            progress.advance()


def _compare(dataset: Path, listed: Mapping[str, str], entry: FileEntry) -> list[Problem]:
    return list(check_bytes(dataset, entry, listed))


def _extra_files(dataset: Path, manifest: Manifest) -> Iterator[Problem]:
    listed = {file.path for file in manifest.files()}
    for folder in ("shards", "episodes", "images", "labels"):
        for path in sorted((dataset / folder).rglob("*")):
            name = path.relative_to(dataset).as_posix()
            if path.is_file() and not path.name.startswith(".") and name not in listed:
                yield Problem("extra", name, f"{name} is not listed in the manifest.")
