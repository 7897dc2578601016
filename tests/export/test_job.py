"""Workers, kills and resumption: the same bytes in the end, and nothing finished is done again."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest
import ray

from rl_datagen.core.errors import ConfigError, DatasetError, DiskError, UserError
from rl_datagen.core.lock import lock
from rl_datagen.data.dataset import ShardReader
from rl_datagen.export import export_hdf5, export_lerobot, export_rlds, lerobot_v30, rlds
from rl_datagen.export.job import _Export
from rl_datagen.runtime.cluster import ray_session
from tests.told import Told

FORMATS = {
    "v30": (export_lerobot, {}),
    "v30_images": (export_lerobot, {"images": "image", "drop_noops": True}),
    "v21": (export_lerobot, {"version": "v2.1"}),
    "gr00t": (export_lerobot, {"version": "v2.1", "modality_json": True}),
    "hdf5": (export_hdf5, {}),
    "rlds": (export_rlds, {}),
}


@pytest.fixture(autouse=True)
def _small_files(monkeypatch):
    monkeypatch.setattr(lerobot_v30, "_FRAMES", 1)
    monkeypatch.setattr(rlds, "_SHARD_MB", 1e-3)


@pytest.fixture(params=FORMATS)
def export(request, rendered):
    function, options = FORMATS[request.param]

    def run(out, **others):
        return function(rendered, out, **{"num_workers": 1, **options, **others})

    return run


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class StoppedError(Exception):
    pass


def test_an_interrupted_export_resumes_and_ends_as_one_that_was_not(
    export, tmp_path, monkeypatch, successes
):
    told = Told()
    whole = tmp_path / "whole" / "data"
    report = export(whole)
    out, work = tmp_path / "out" / "data", tmp_path / "out" / ".data.export"
    store, stored = _Export.store, []

    def fail_at_the_second(job, unit, result):
        if stored:
            raise StoppedError
        store(job, unit, result)
        stored.append(unit.part)

    monkeypatch.setattr(_Export, "store", fail_at_the_second)
    with pytest.raises(StoppedError):
        export(out)
    monkeypatch.setattr(_Export, "store", store)
    assert not out.exists()
    (part,) = stored
    assert len(list(work.glob("parts/*"))) == 1
    first = sorted((work / "files").rglob("*"))[0]
    files = {p.relative_to(work / "files"): p for p in (work / "files").rglob("*") if p.is_file()}
    assert files
    before = {name: path.stat().st_mtime_ns for name, path in files.items()}
    written = []
    monkeypatch.setattr(
        _Export, "store", lambda job, unit, result: (written.append(unit), store(job, unit, result))
    )
    assert export(out, progress=told) == report.__class__(**{**vars(report), "path": out})
    assert digests(out) == digests(whole)
    assert part not in [unit.part for unit in written]
    done = {name for name in before if (out / name).stat().st_mtime_ns == before[name]}
    assert done, f"all of {list(before)} were written again, such as {first}"
    assert told.totals == [told.done] == [len(successes) - len(part.episodes)]
    assert [path.name for path in out.parent.iterdir()] == ["data"]


def test_finished_files_of_a_part_keep_their_time(rendered, tmp_path):
    """What the end fails at leaves all parts, none of which is written again."""
    out = tmp_path / "out"
    work = tmp_path / ".out.export"
    (work / "files" / "meta" / "info.json").mkdir(parents=True)  # where a file is to be
    with pytest.raises(DiskError, match=r"info\.json.* cannot be written"):
        export_lerobot(rendered, out, num_workers=1)
    before = {p.name: p.stat().st_mtime_ns for p in (work / "files/data").rglob("*.parquet")}
    assert len(before) == 4
    (work / "files" / "meta" / "info.json").rmdir()
    told = Told()
    export_lerobot(rendered, out, num_workers=1, progress=told)
    after = {p.name: p.stat().st_mtime_ns for p in (out / "data").rglob("*.parquet")}
    assert (after, told.totals) == (before, [0])


def test_a_part_whose_files_are_gone_or_whose_receipt_is_damaged_is_written_again(
    rendered, tmp_path, monkeypatch
):
    export_lerobot(rendered, tmp_path / "whole", num_workers=1)
    finish = lerobot_v30.V30Files.finish

    def stop(*_):
        raise StoppedError

    monkeypatch.setattr(lerobot_v30.V30Files, "finish", stop)
    with pytest.raises(StoppedError):
        export_lerobot(rendered, tmp_path / "out", num_workers=1)
    monkeypatch.setattr(lerobot_v30.V30Files, "finish", finish)
    work = tmp_path / ".out.export"
    (work / "files/data/chunk-000/file-001.parquet").unlink()
    (work / "parts/00002.npz").write_bytes(b"PK\x03\x04 half")
    told = Told()
    export_lerobot(rendered, tmp_path / "out", num_workers=1, progress=told)
    assert told.totals == [2]
    got, expected = digests(tmp_path / "out"), digests(tmp_path / "whole")
    assert got.pop("README.md") != expected.pop("README.md")  # which has the name
    assert got == expected


def test_other_settings_than_those_of_the_interrupted_export_are_named(
    rendered, tmp_path, monkeypatch
):
    def stop(*_):
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(_Export, "store", stop)
        with pytest.raises(StoppedError):
            export_lerobot(rendered, tmp_path / "out", num_workers=1)
    message = r"\.out\.export belongs to another configuration: .*fps is 20 there and 10 here"
    with pytest.raises(ConfigError, match=message) as error:
        export_lerobot(rendered, tmp_path / "out", num_workers=1, fps=10)
    assert "give the same options to resume it, or delete" in str(error.value)
    with pytest.raises(ConfigError, match="format is 'LeRobot' there and 'RLDS' here"):
        export_rlds(rendered, tmp_path / "out", num_workers=1)
    export_lerobot(rendered, tmp_path / "out", num_workers=1)


def test_two_exports_to_one_folder_do_not_meet(rendered, tmp_path):
    with (
        lock(tmp_path / ".out.export" / "lock", ""),
        pytest.raises(UserError, match=r"Another process exports to .*out"),
    ):
        export_hdf5(rendered, tmp_path / "out")


def test_an_episode_that_cannot_be_read_is_named_and_the_others_are_kept(
    rendered, tmp_path, monkeypatch
):
    read = ShardReader.read

    def fail(reader, name):
        if name.endswith("libero_goal-3-amplified-00002"):
            raise DatasetError(f"{name} is damaged.")
        return read(reader, name)

    monkeypatch.setattr(ShardReader, "read", fail)
    with pytest.raises(UserError, match=r"1 of 4 episodes are missing.*episodes 3 to 3: .*damaged"):
        export_lerobot(rendered, tmp_path / "out", version="v2.1", num_workers=1)
    monkeypatch.setattr(ShardReader, "read", read)
    told = Told()
    export_lerobot(rendered, tmp_path / "out", version="v2.1", num_workers=1, progress=told)
    assert told.totals == [1]


@pytest.mark.slow
@pytest.mark.ray
def test_bytes_do_not_depend_on_the_number_of_workers(rendered, tmp_path, monkeypatch):
    ray.shutdown()  # the cluster that tests of other modules share
    monkeypatch.setattr("rl_datagen.export.job._FEW_FRAMES", 0)
    with ray_session(tmp_path / "ray.log", 2):
        for name, (function, options) in FORMATS.items():
            alone, together = (tmp_path / str(n) / name for n in (1, 2))
            told = Told()
            function(rendered, alone, num_workers=1, **options)
            report = function(rendered, together, num_workers=2, progress=told, **options)
            assert digests(alone) == digests(together)
            assert (told.totals, told.done) == ([4], 4), name
            assert report.num_frames == (36 if "drop_noops" in options else 44)


SLOW = """
import sys, time
from pathlib import Path
from rl_datagen.export import export_lerobot
from rl_datagen.export.job import _Export
store = _Export.store
def slowly(job, unit, result):
    store(job, unit, result)
    print(unit.part.number, flush=True)
    time.sleep(60)
_Export.store = slowly
export_lerobot(Path(sys.argv[1]), Path(sys.argv[2]), version="v2.1", num_workers=1)
"""


def test_a_killed_process_leaves_what_the_same_command_resumes(rendered, tmp_path):
    export_lerobot(rendered, tmp_path / "whole" / "out", version="v2.1", num_workers=1)
    command = [sys.executable, "-c", SLOW, str(rendered), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "0\n"
        os.kill(process.pid, signal.SIGKILL)
    episode = tmp_path / ".out.export/files/data/chunk-000/episode_000000.parquet"
    before = episode.stat().st_mtime_ns
    time.sleep(0.01)
    export_lerobot(rendered, tmp_path / "out", version="v2.1", num_workers=1)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole" / "out")
    kept = tmp_path / "out/data/chunk-000/episode_000000.parquet"
    assert kept.stat().st_mtime_ns == before
