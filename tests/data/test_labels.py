"""Labels beside the steps: stored, read, verified, merged."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data import Dataset, dataset_info, read_failures, read_labels, write_card
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.journal import JOURNAL_NAME
from rl_datagen.data.labels import decode_labels, labels_table
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.schema import PREDICATES_KEY
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter, NewLabels
from tests.labelled import add_labels, make_labels

FIRST = "labels/libero_goal/3/part-00000.parquet"


def assert_same(one, other):
    for name, value in vars(one).items():
        assert np.array_equal(np.array(value, object), np.array(getattr(other, name), object)), name


def test_labels_come_back(make_trajectory):
    labels = make_labels(make_trajectory(0, length=9, success=False))
    assert_same(decode_labels(labels_table(labels)), labels)


def test_a_labelled_dataset_is_sound_and_its_labels_are_read(dataset):
    before = read_manifest(dataset)
    add_labels(dataset)
    verify(dataset).check()
    assert read_manifest(dataset).content_hash != before.content_hash
    (last,) = list(read_trajectories(dataset, task="libero_object/0"))[3:]
    assert_same(read_labels(dataset, last.episode_id), make_labels(last))
    assert set(read_failures(dataset).values()) == {None}
    assert dataset_info(dataset).num_labelled == 12
    assert "labels/**/*.parquet" in write_card(dataset).read_text()


def test_manifests_without_labels_are_as_they_were(dataset):
    assert "labels" not in (dataset / "manifest.json").read_text()
    assert "labels" not in write_card(dataset).read_text()


def test_what_a_killed_writer_listed_stays(dataset):
    writer = DatasetWriter(dataset, config=None)
    shard = writer.manifest.shards[0]
    mine = list(read_trajectories(dataset, task=shard.task))[:4]
    writer.take(NewLabels([make_labels(t) for t in mine], shard.steps.path))
    writer._journal.close()  # killed: the manifest is not written
    writer._lock.close()
    assert read_manifest(dataset).shards[0].labels.path == FIRST
    lines = (dataset / JOURNAL_NAME).read_text()
    for damage in (
        {"of": "shards/libero_goal/9/part-00000.parquet"},
        {"images": None, "labels": None},
    ):
        (dataset / JOURNAL_NAME).write_text(json.dumps(json.loads(lines) | damage) + "\n")
        with pytest.raises(DatasetError, match="is damaged"):
            read_manifest(dataset)
    (dataset / JOURNAL_NAME).write_text(lines)
    DatasetWriter(dataset, config=None).close()
    verify(dataset).check()


def test_a_mixture_keeps_the_labels_of_its_episodes(dataset, tmp_path, make_trajectory):
    add_labels(dataset)
    other = tmp_path / "other"
    with DatasetWriter(other, config={}, origin={}) as writer:
        writer.append([make_trajectory(i, source="human") for i in range(3)])
    merge(tmp_path / "mixed", [(dataset, 2.0), (other, 1.0)], images=False)
    verify(tmp_path / "mixed").check()
    failures = read_failures(tmp_path / "mixed")
    assert len(failures) == 6
    assert not any("human" in name for name in failures)


def test_random_access_gives_columns_of_labels(dataset):
    with pytest.raises(DatasetError, match=r"has no labels of .*dataset label"):
        Dataset(dataset, columns=("progress",))
    with pytest.raises(ConfigError, match="Did you mean 'progress'"):
        Dataset(dataset, columns=("progress_",))
    add_labels(dataset)
    frames = Dataset(dataset, columns=("action", "progress", "predicates"))
    item = frames[11]
    assert item["progress"] == 1
    assert item["predicates"].tolist() == [False, True]
    assert item["action"].shape == (7,)
    assert frames.labels(0).subtask[-1] == "place the bowl on the plate"


def with_column(column, value):
    return lambda trajectory: make_labels(trajectory, **{column: value(trajectory)})


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (
            "progress",
            lambda t: np.linspace(1, 0, len(t), dtype=np.float32),
            "a progress that falls",
        ),
        ("progress", lambda t: np.full(len(t), 1.5, np.float32), "progress 1.5"),
        ("subtask_index", lambda t: np.full(len(t), 2, np.int32), "does not count from 0"),
        ("next_predicate", lambda t: np.full(len(t), 1, np.int32), "a next_predicate that is not"),
        ("next_predicate", lambda t: np.full(len(t), -1, np.int32), "a next_predicate that is not"),
        ("next_predicate", lambda t: np.full(len(t), 7, np.int32), "a next_predicate that is not"),
        ("contact_forces", lambda t: [[1.0]] * len(t), "of two lengths"),
        ("held", lambda t: ["wand_1"] * len(t), "held what the hand does not touch"),
        ("failure", lambda _: "timeout", "success=True"),
        ("failure", lambda _: "boredom", "is allowed"),
        ("goal_distance", lambda t: np.full(len(t), np.nan, np.float32), "goal_distance nan"),
        ("predicates", lambda t: np.zeros((len(t), 3), bool), "predicates"),
        ("episode_id", lambda _: "somebody", "is of 'somebody'"),
    ],
)
def test_values_that_cannot_be_are_named(dataset, column, value, sentence):
    add_labels(dataset, with_column(column, value))
    problems = [problem.message for problem in verify(dataset).problems]
    assert any(sentence in each and FIRST in each for each in problems), problems


def test_labels_of_other_rows_are_named(dataset, make_trajectory):
    add_labels(dataset, lambda t: make_labels(make_trajectory(int(t.episode_id[-1]), length=5)))
    assert any("labels of each of its steps" in each.message for each in verify(dataset).problems)


def test_damage_and_files_that_nobody_lists_are_found(dataset):
    add_labels(dataset)
    shutil.copy(dataset / FIRST, dataset / "labels/libero_goal/3/part-00007.parquet")
    (dataset / FIRST).write_bytes((dataset / FIRST).read_bytes()[:-9])
    assert {problem.kind for problem in verify(dataset).problems} == {"extra", "truncated"}


def test_a_file_says_which_predicates_it_has(dataset):
    add_labels(dataset)
    schema = pq.read_schema(dataset / FIRST)
    assert json.loads(schema.metadata[PREDICATES_KEY.encode()])[0] == "on bowl_1 plate_1"
    table = labels_table(make_labels(next(read_trajectories(dataset))))
    with pytest.raises(DatasetError, match="does not say"):
        decode_labels(table.replace_schema_metadata({}))
