"""Finds damage in a dataset, whether it happened to the files or in the program that wrote them."""

from collections.abc import Iterator
from pathlib import Path

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from rl_datagen.data.problems import Problem, VerifyReport, check_bytes
from rl_datagen.data.verify_shard import Seen, check_shard

__all__ = ["Problem", "VerifyReport", "verify"]


def verify(dataset: Path, *, quick: bool = False, progress: Progress = SILENT) -> VerifyReport:
    """Compares every file with the manifest, and every value with the schema and the rules.

    One episode is in memory at a time, and of a shard what is constant in its episodes.

    Args:
        dataset: The dataset's folder.
        quick: Do not decode the images.
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
        problems=tuple(_problems(dataset, manifest, quick, progress)),
        content_hash=manifest.content_hash,
    )


def _problems(
    dataset: Path, manifest: Manifest, quick: bool, progress: Progress
) -> Iterator[Problem]:
    damaged: set[str] = set()
    listed = {file.sha256: file.path for file in manifest.files()}
    progress.start("verify", len(listed), "files compared")
    for entry in manifest.files():
        for problem in check_bytes(dataset, entry, listed):
            damaged.add(entry.path)
            yield problem
        progress.advance()
    yield from _extra_files(dataset, manifest)
    seen = Seen(manifest.images_appearance, decode=not quick)
    progress.start("verify", len(manifest.shards), "shards read")
    for shard in manifest.shards:
        if not damaged.intersection(file.path for file in shard.files()):
            yield from check_shard(dataset, shard, seen)
        progress.advance(1, shard.task)


def _extra_files(dataset: Path, manifest: Manifest) -> Iterator[Problem]:
    listed = {file.path for file in manifest.files()}
    for folder in ("shards", "episodes", "images", "labels"):
        for path in sorted((dataset / folder).rglob("*")):
            name = path.relative_to(dataset).as_posix()
            if path.is_file() and not path.name.startswith(".") and name not in listed:
                yield Problem("extra", name, f"{name} is not listed in the manifest.")
