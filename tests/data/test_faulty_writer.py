"""Faults of a program that writes datasets: every checksum fits, so only rules find them."""

import json
import random
import shutil
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.storage import sha256
from rl_datagen.data.compact import compact
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import _seal
from rl_datagen.data.shards import write_parquet
from rl_datagen.data.verify import verify
from rl_datagen.data.verify_compact import verify_compact
from rl_datagen.data.writer import DatasetWriter
from tests.data.faults import IMAGE_FAULTS, ROW_FAULTS, STEP_FAULTS, STEPS, UNREADABLE

ROWS = "episodes/libero_goal/3/part-00000.parquet"
IMAGES = "images/libero_goal/3/part-00000-00000.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory, make_trajectory):
    """Three episodes of one task in a shard, one in another; the first two are rendered."""
    path = tmp_path_factory.mktemp("sound") / "d"
    episodes = [make_trajectory(i, source="diffusion_rl", success=i != 2) for i in range(4)]
    with DatasetWriter(path, config={}, origin={}) as writer:
        shard = writer.append(episodes[:3], expert="libero_goal/3/x@1", num_attempts=3)
        writer.append(episodes[3:], expert="libero_goal/3/x@1", num_attempts=1)
        views = np.random.default_rng(0).integers(0, 255, (2, 2, 12, 24, 24, 3), np.uint8)
        rendered = [RenderedEpisode(episodes[i].episode_id, *views[i]) for i in range(2)]
        writer.append_images(rendered, shard=shard or writer.manifest.shards[0])
    verify(path).check()
    compact(path, path.with_name("compact"))
    verify_compact(path.with_name("compact")).check()
    return path


@pytest.fixture
def faulty(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "d")


def reseal(folder, path, *, count=True):
    """Gives the manifest the checksum that the file has now."""

    def renew(part):
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, dict) and value.get("path") == path:
                value["sha256"] = sha256(folder / path)
                value["num_bytes"] = (folder / path).stat().st_size
                if count:
                    value["num_rows"] = pq.read_metadata(folder / path).num_rows
            if isinstance(value, dict | list):
                renew(value)

    edit_manifest(folder, renew)


def edit_manifest(folder, change):
    body = json.loads((folder / "manifest.json").read_text())
    del body["sha256"]
    change(body)
    (folder / "manifest.json").write_text(json.dumps({**body, "sha256": _seal(body)}))


FAULTS = [
    pytest.param(path, change, words, id=f"{kind}: {name}")
    for kind, path, faults in (
        ("steps", STEPS, STEP_FAULTS),
        ("episodes", ROWS, ROW_FAULTS),
        ("images", IMAGES, IMAGE_FAULTS),
    )
    for name, (change, words) in faults.items()
]


@pytest.mark.parametrize(("path", "change", "words"), FAULTS)
def test_verify_names_the_file_and_what_is_wrong(faulty, path, change, words):
    file = pq.ParquetFile(faulty / path)
    tables = [file.read_row_group(index) for index in range(file.num_row_groups)]
    change(tables)
    (faulty / path).unlink()
    write_parquet(faulty / path, tables[0].schema, tables)
    reseal(faulty, path)
    messages = [problem.message for problem in verify(faulty).problems]
    assert any(path.rpartition("/")[0][7:] in text and words in text for text in messages), messages
    if words != UNREADABLE:
        assert not any("not a readable Parquet" in text for text in messages), messages


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body["shards"][0].update(num_episodes=4), "the manifest says 4"),
        (lambda body: body["shards"][0].update(num_attempts=2), "2 attempts for 3 episodes"),
        (lambda body: body["shards"][0]["steps"].update(num_rows=35), "the manifest says 35"),
        (lambda body: body["shards"][0]["steps"].update(num_bytes=1), "the manifest says 1"),
        (lambda body: body["shards"][0]["episodes"].update(num_rows=2), "the manifest says 2"),
        (lambda body: body["shards"][0]["images"].clear(), "is not listed"),
        (lambda body: body["shards"].pop(), "is not listed"),
        (lambda body: body["shards"].append(body["shards"][0]), "is listed twice"),
        (
            lambda body: body["shards"][0].update(task="libero_goal/4"),
            "not a file of libero_goal/4",
        ),
        (lambda body: body.update(appearance="mujoco"), "the manifest says 'mujoco'"),
        (lambda body: body.update(appearance="dark"), "appearance"),
        (lambda body: body.update(schema_version=2), "schema version 2"),
        (lambda body: body.update(more=1), "more"),
        (lambda body: body.pop("config"), "config"),
        (lambda body: body.update(config={"sim": {"backend": ["exact"]}}), "backend"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files(faulty, change, words):
    edit_manifest(faulty, change)
    assert words in " ".join(problem.message for problem in verify(faulty).problems)


def test_the_quick_look_leaves_out_decoding_alone(faulty):
    file = pq.ParquetFile(faulty / IMAGES)
    tables = [file.read_row_group(index) for index in range(2)]
    IMAGE_FAULTS["damaged"][0](tables)
    write_parquet(faulty / IMAGES, tables[0].schema, tables)
    reseal(faulty, IMAGES)
    assert verify(faulty, quick=True).ok
    assert not verify(faulty).ok


def test_a_length_that_cannot_be_takes_no_memory(faulty):
    tables = [pq.ParquetFile(faulty / ROWS).read()]
    ROW_FAULTS["length huge"][0](tables)
    write_parquet(faulty / ROWS, tables[0].schema, tables)
    reseal(faulty, ROWS)
    tracemalloc.start()  # NumPy tells it what it takes
    assert not verify(faulty).ok
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def damage(content, generator):
    """Flips some bits, or cuts off the end, or puts other bytes in place of some."""
    data = bytearray(content)
    kind = generator.randrange(4)
    if kind == 0:
        return bytes(data[: generator.randrange(len(data))])
    begin = generator.randrange(len(data))
    if kind == 1:  # where Parquet has its schema and the places of everything else
        begin = max(0, len(data) - 1 - generator.randrange(min(6000, len(data))))
    for place in range(begin, min(begin + (1, 1, 2, 16)[kind], len(data))):
        data[place] ^= generator.randrange(1, 256)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("path", [STEPS, ROWS, IMAGES, "libero_goal/3.parquet"])
def test_damaged_bytes_are_findings_and_never_a_traceback(sound, tmp_path, path):
    is_compact = path.startswith("libero")
    folder = shutil.copytree(sound.with_name("compact") if is_compact else sound, tmp_path / "d")
    content, generator = (folder / path).read_bytes(), random.Random(path)
    found = 0
    for _ in range(120):
        (folder / path).write_bytes(damage(content, generator))
        reseal(folder, path, count=False)
        report = verify_compact(folder) if is_compact else verify(folder)
        found += not report.ok
        assert all(path in p.message or "episode" in p.message for p in report.problems)
    assert found > 60  # others hit statistics, padding, or low bits of sound values
