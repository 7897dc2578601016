"""Verifying on workers finds what verifying here finds."""

import subprocess
import sys

import pytest

from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs import check_dataset as module
from rl_datagen.jobs.check_dataset import check_dataset
from tests.told import Told


@pytest.fixture
def faulty(tmp_path, make_trajectory):
    """An episode that begins as one of another shard, one that is there twice, and a torn file."""
    path = tmp_path / "faulty"
    with DatasetWriter(path, config={}) as writer:
        for number in range(4):
            writer.append([make_trajectory(2 * number + n) for n in range(2)])
        again = make_trajectory(1)
        writer.append([make_trajectory(20, seed=again.seed, init_state=again.init_state)])
        torn = writer.manifest.shards[3].steps.path
    (path / torn).write_bytes((path / torn).read_bytes()[:-9])
    return path


@pytest.mark.ray
def test_on_workers_as_here(faulty, monkeypatch):
    monkeypatch.setattr(module, "_BYTES_HERE", 0)
    monkeypatch.setattr(module, "_UNIT_SHARDS", 2)
    here, there = verify(faulty), check_dataset(faulty, num_workers=2)
    assert here == there
    assert {problem.kind for problem in there.problems} >= {"truncated"}


def test_what_is_small_is_read_here(dataset):
    told = Told()
    assert check_dataset(dataset, progress=told).ok
    assert told.totals == [6, 3]


def test_parts_are_bounded(monkeypatch, dataset):
    monkeypatch.setattr(module, "_UNIT_BYTES", 1)
    checks = []
    verify(dataset, check=lambda found, _: checks.extend(found) or [])
    assert [len(part) for part in module._parts(checks)] == [1, 1, 1]


def test_it_needs_neither_simulator_nor_torch():
    code = (
        "import sys, rl_datagen.jobs.check_dataset;"
        "print({'torch', 'mujoco', 'ray'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
