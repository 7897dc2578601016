"""Ten kinds of damage: verify finds and names each."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.storage import sha256
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import (
    Manifest,
    describe_file,
    read_manifest,
    write_manifest,
)
from rl_datagen.data.schema import SCHEMA_VERSION, VERSION_KEY
from rl_datagen.data.shards import write_parquet
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter

FIRST = "shards/libero_goal/3/part-00000.parquet"
SECOND = "shards/libero_goal/3/part-00001.parquet"
EPISODES = "episodes/libero_goal/3/part-00000.parquet"


def reseal(dataset):
    """Rewrites the manifest so that all checksums agree, as a faulty program would."""
    manifest = read_manifest(dataset)

    def renew(file):
        return describe_file(dataset, file.path, pq.read_metadata(dataset / file.path).num_rows)

    shards = tuple(
        shard.model_copy(update={"steps": renew(shard.steps), "episodes": renew(shard.episodes)})
        for shard in manifest.shards
    )
    write_manifest(dataset, manifest.model_copy(update={"shards": shards}))


def rewrite(dataset, path, change):
    """Writes a changed Parquet file, row group by row group, and reseals the manifest."""
    file = pq.ParquetFile(dataset / path)
    tables = [change(file.read_row_group(i), i) for i in range(file.num_row_groups)]
    write_parquet(dataset / path, tables[0].schema, tables)
    reseal(dataset)


def set_value(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    field = table.schema.field(column)
    index = table.schema.get_field_index(column)
    return table.set_column(index, field, pa.array(values, field.type))


def flip_byte(dataset):
    data = bytearray((dataset / FIRST).read_bytes())
    data[len(data) // 2] ^= 1
    (dataset / FIRST).write_bytes(data)


def truncate(dataset):
    (dataset / FIRST).write_bytes((dataset / FIRST).read_bytes()[:-100])


def remove(dataset):
    (dataset / FIRST).unlink()


def add(dataset):
    shutil.copy(dataset / FIRST, dataset / "shards/libero_goal/3/part-00002.parquet")


def swap(dataset):
    (dataset / FIRST).rename(dataset / "x")
    (dataset / SECOND).rename(dataset / FIRST)
    (dataset / "x").rename(dataset / SECOND)


def edit_manifest(dataset):
    path = dataset / "manifest.json"
    path.write_text(path.read_text().replace('"num_episodes": 4', '"num_episodes": 5', 1))


def wrong_version_of_manifest(dataset):
    manifest = read_manifest(dataset)
    write_manifest(dataset, manifest.model_copy(update={"schema_version": SCHEMA_VERSION + 1}))


def wrong_version_of_shard(dataset):
    version = str(SCHEMA_VERSION + 1)
    rewrite(dataset, FIRST, lambda t, i: t.replace_schema_metadata({VERSION_KEY: version}))


def drop_column(dataset):
    rewrite(dataset, FIRST, lambda t, i: t.drop_columns(["ee_quat"]))


def duplicate_in_shard(dataset):
    file = pq.ParquetFile(dataset / FIRST)
    rewrite(dataset, FIRST, lambda t, i: file.read_row_group(0) if i == 3 else t)


def duplicate_across_shards(dataset):
    shutil.copy(dataset / FIRST, dataset / SECOND)
    shutil.copy(dataset / EPISODES, dataset / EPISODES.replace("00000", "00001"))
    reseal(dataset)


def nan_action(dataset):
    bad = [0.0, 0.0, float("nan"), 0.0, 0.0, 0.0, 1.0]
    rewrite(dataset, FIRST, lambda t, i: set_value(t, "action", 7, bad) if i == 2 else t)


def missing_episodes_row(dataset):
    rewrite(dataset, EPISODES, lambda t, i: t.slice(0, 3))


def remove_episodes(dataset):
    (dataset / EPISODES).unlink()


def swap_episodes(dataset):
    other = dataset / EPISODES.replace("00000", "00001")
    (dataset / EPISODES).rename(dataset / "x")
    other.rename(dataset / EPISODES)
    (dataset / "x").rename(other)


def same_start(dataset):
    rows = pq.read_table(dataset / EPISODES).to_pylist()
    keys = ("seed", "init_state", "fixture_poses")

    def change(table, _):
        rows[2].update({key: rows[0][key] for key in keys})
        return pa.Table.from_pylist(rows, schema=table.schema)

    rewrite(dataset, EPISODES, change)


def lost_step(dataset):
    rewrite(dataset, FIRST, lambda t, i: t.slice(0, 11) if i == 1 else t)


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (flip_byte, "checksum", [FIRST, "is damaged", "SHA-256"]),
        (truncate, "truncated", [FIRST, "cut off", "SHA-256"]),
        (remove, "missing", [FIRST, "is missing"]),
        (add, "extra", ["part-00002.parquet", "not listed"]),
        (swap, "swapped", [FIRST, f"content of {SECOND}"]),
        (edit_manifest, "manifest", ["manifest.json was edited", "SHA-256"]),
        (wrong_version_of_manifest, "manifest", ["manifest.json", "schema version 2"]),
        (wrong_version_of_shard, "schema", [FIRST, "schema version 2"]),
        (drop_column, "schema", [FIRST, "ee_quat"]),
        (duplicate_in_shard, "episode", [FIRST, "00000' is in the dataset twice"]),
        (duplicate_across_shards, "episode", [SECOND, "00000' is in the dataset twice"]),
        (nan_action, "episode", [FIRST, "amplified-00002", "action"]),
        (missing_episodes_row, "episode", [FIRST, "00003' has no row in", EPISODES]),
        (lost_step, "episode", [FIRST, "00001' does not have the steps 0 to 11"]),
        (remove_episodes, "missing", [EPISODES, "is missing"]),
        (swap_episodes, "swapped", [EPISODES, "holds the content of"]),
        (same_start, "episode", [EPISODES, "00002' repeats", "00000': same init state and seed"]),
    ],
)
def test_verify_finds_and_names(dataset, damage, kind, words):
    verify(dataset).check()
    damage(dataset)
    report = verify(dataset)
    assert not report.ok
    assert kind in {problem.kind for problem in report.problems}
    with pytest.raises(DatasetError) as error:
        report.check()
    assert all(word in str(error.value) for word in [*words, "Restore it from a copy"])


def test_a_damaged_shard_is_named_with_both_checksums_by_verify_and_by_reading(dataset):
    before = sha256(dataset / FIRST)
    flip_byte(dataset)
    for call in (lambda: list(read_trajectories(dataset)), lambda: verify(dataset).check()):
        with pytest.raises(DatasetError) as error:
            call()
        assert all(w in str(error.value) for w in (FIRST, before, sha256(dataset / FIRST)))


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "truncated"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: shutil.copy(path, path.with_name("part-00000-00009.parquet")), "extra"),
    ],
)
def test_damaged_images_are_named(dataset, damage, kind):
    name = next(read_trajectories(dataset)).episode_id
    views = np.zeros((2, 12, 16, 16, 3), np.uint8)
    with DatasetWriter(dataset, config=None) as writer:
        writer.append_images([RenderedEpisode(name, *views)], shard=writer.shard_of(name))
    verify(dataset).check()
    path = "images/libero_goal/3/part-00000-00000.parquet"
    damage(dataset / path)
    (problem,) = verify(dataset).problems
    assert problem.kind == kind
    assert problem.path.startswith("images/libero_goal/3/part-00000-0000")


def test_damage_is_not_written_to(dataset, make_trajectory):
    edit_manifest(dataset)
    with pytest.raises(DatasetError, match="was edited"):
        DatasetWriter(dataset, config={"seed": 0})


def test_a_folder_without_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        verify(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sha256": 1}', json.dumps({"a": 1})])
def test_a_manifest_that_is_none(dataset, text):
    (dataset / "manifest.json").write_text(text)
    assert [problem.kind for problem in verify(dataset).problems] == ["manifest"]


def test_an_empty_dataset_is_sound(tmp_path):
    DatasetWriter(tmp_path / "d", config={}).close()
    report = verify(tmp_path / "d")
    assert report.ok
    assert report.num_episodes == 0
    assert read_manifest(tmp_path / "d") == Manifest.model_validate(
        read_manifest(tmp_path / "d").model_dump()
    )
    assert not np.any(list(read_trajectories(tmp_path / "d")))
