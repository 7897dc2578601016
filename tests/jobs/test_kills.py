"""What becomes of a dataset whose collector or renderer is killed: the real processes."""

import logging
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl_datagen.data.manifest import MANIFEST_NAME, read_manifest
from rl_datagen.data.verify import verify

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.sim,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(3600),
]
SHARDS = 10
COLLECT = (
    "collect",
    "source=amplified",
    "task=libero_object/0",
    f"num_episodes={SHARDS}",
    "num_episodes_per_shard=1",
    "max_attempts_per_episode=4",
    "num_workers=2",
)
RENDER = ("dataset", "render", "--size", "64", "--workers", "2")


def start(root: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    with (root / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=root, stdout=log, stderr=log)


def to_the_end(root: Path, *arguments: str) -> None:
    assert start(root, *arguments).wait() == 0, (root / "log").read_text()


def count(dataset: Path) -> int:
    """Files that the dataset has now, read while it is written to."""
    made = (dataset / MANIFEST_NAME).exists()  # the folder is there first
    return len(list(read_manifest(dataset).files())) if made else 0


def kill_at_random(root: Path, dataset: Path, rng: random.Random, *arguments: str) -> None:
    """Starts the command and kills it: at any moment of its start, or while it writes."""
    before = count(dataset)
    process = start(root, *arguments)
    try:
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, 20))
        else:
            while process.poll() is None and count(dataset) == before:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 1))
    finally:
        process.kill()
    logger.info("files=%d..%d exit=%d", before, count(dataset), process.wait())
    kinds = {problem.kind for problem in verify(dataset).problems} if count(dataset) else set()
    assert kinds <= {"extra"}  # whole files that were not listed yet


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A dataset whose collection nobody interrupted."""
    root = tmp_path_factory.mktemp("collected")
    to_the_end(root, *COLLECT)
    return root / "outputs" / "datasets" / "collected"


@pytest.fixture(scope="module")
def rendered(collected, tmp_path_factory):
    """The same, whose rendering nobody interrupted either."""
    dataset = shutil.copytree(collected, tmp_path_factory.mktemp("rendered") / "dataset")
    to_the_end(dataset.parent, *RENDER, str(dataset))
    return dataset


@pytest.mark.parametrize("kills", [2, 10])
def test_a_killed_collector_leaves_the_dataset_of_one_that_was_not(tmp_path, collected, kills):
    rng = random.Random(kills)
    dataset = tmp_path / "outputs" / "datasets" / "collected"
    for _ in range(kills):
        kill_at_random(tmp_path, dataset, rng, *COLLECT)
    to_the_end(tmp_path, *COLLECT)
    report = verify(dataset)
    report.check()
    assert report.num_episodes == SHARDS
    assert report.content_hash == read_manifest(collected).content_hash
    assert read_manifest(dataset).shards == read_manifest(collected).shards


@pytest.mark.parametrize("kills", [2, 10])
def test_a_killed_renderer_leaves_the_dataset_of_one_that_was_not(
    tmp_path, collected, rendered, kills
):
    rng = random.Random(kills)
    dataset = shutil.copytree(collected, tmp_path / "dataset")
    for _ in range(kills):
        kill_at_random(tmp_path, dataset, rng, *RENDER, str(dataset))
    to_the_end(tmp_path, *RENDER, str(dataset))
    report = verify(dataset)
    report.check()
    assert report.content_hash == read_manifest(rendered).content_hash
