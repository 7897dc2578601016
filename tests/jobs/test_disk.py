"""Full and read-only disks: a small tmpfs, where this machine lets us mount one."""

import shutil
import subprocess

import numpy as np
import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import DiskError
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path):
    """A disk of 400 kB."""
    path = tmp_path / "disk"
    path.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    if (result := mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", path)).returncode:
        pytest.skip(f"mounting is not permitted: {result.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(writer, make):
    for part in range(200):
        writer.append([make(2 * part), make(2 * part + 1)], part=part)


def test_a_full_disk_is_named_and_the_dataset_goes_on_once_there_is_room(disk, make_trajectory):
    with DatasetWriter(disk / "d", config={}) as writer:
        with pytest.raises(DiskError, match=r"cannot be written: .*No space left on device"):
            fill(writer, make_trajectory)
        stored = len(writer.manifest.shards)
    assert stored > 3
    report = verify(disk / "d")
    assert {problem.kind for problem in report.problems} <= {"extra"}
    assert len(list(read_trajectories(disk / "d"))) == 2 * stored
    assert mount("-o", "remount,size=8m", disk).returncode == 0
    with DatasetWriter(disk / "d", config={}) as writer:
        fill(writer, make_trajectory)
    verify(disk / "d").check()
    assert len(read_manifest(disk / "d").shards) == 200


def test_images_and_mixtures_on_a_full_disk(disk, dataset):
    shutil.copytree(dataset, disk / "d")
    views = np.random.default_rng(0).integers(0, 256, (2, 12, 128, 128, 3), np.uint8)
    name = next(read_trajectories(disk / "d")).episode_id
    with (
        DatasetWriter(disk / "d", config=None) as writer,
        pytest.raises(DiskError, match="No space left"),
    ):
        writer.append_images([RenderedEpisode(name, *views)], shard=writer.shard_of(name))
    verify(disk / "d").check()
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 20_000))
    with pytest.raises(DiskError, match="No space left"):
        merge(disk / "copy", [(dataset, None)])
    (disk / "filler").unlink()
    merge(disk / "copy", [(dataset, None)])
    verify(disk / "copy").check()


def test_a_read_only_folder_can_be_read_and_says_that_it_cannot_be_written(disk, dataset):
    shutil.copytree(dataset, disk / "d")
    assert mount("-o", "remount,ro", disk).returncode == 0
    for command in (
        ["collect", "source=human", f"output_dir={disk}", "task=libero_object/0"],
        ["dataset", "render", str(disk / "d")],
        ["dataset", "merge", str(disk / "new"), str(dataset)],
    ):
        error = CliRunner().invoke(app, command).exception
        assert isinstance(error, DiskError), error
        assert "cannot be written" in str(error)
        assert "Read-only file system" in str(error)
    verify(disk / "d").check()
    assert CliRunner().invoke(app, ["dataset", "info", str(disk / "d")]).exit_code == 0


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "datasets").write_text("mine")
    arguments = ["collect", "source=human", "task=libero_object/0", f"output_dir={tmp_path}"]
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, DiskError)
    assert (tmp_path / "datasets").read_text() == "mine"
