"""The compact form holds what is needed, once, and says what is wrong with it."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.storage import sha256
from rl_datagen.data import compact as module
from rl_datagen.data.compact import (
    CompactManifest,
    check_versions,
    compact,
    digest_states,
    is_compact,
    read_compact,
    read_compact_manifest,
)
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import read_manifest, write_manifest
from rl_datagen.data.verify_compact import verify_compact
from rl_datagen.data.writer import DatasetWriter


@pytest.fixture
def small(dataset, tmp_path):
    compact(dataset, tmp_path / "compact")
    return tmp_path / "compact"


def edit(folder, task, change):
    """Rewrites a task's rows as a faulty or malicious writer would: every checksum fits."""
    path = folder / f"{task}.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=module.COMPACT_SCHEMA), path)
    body = json.loads((folder / "manifest.json").read_text())
    del body["sha256"]
    for each in body["files"]:
        if each["task"] == task:
            file = {"num_bytes": path.stat().st_size, "sha256": sha256(path)}
            each["file"] |= file | {"num_rows": len(rows)}
    write_manifest(folder, CompactManifest.model_validate(body))


def test_nothing_that_cannot_be_computed_is_lost(dataset, small):
    for task in ("libero_goal/3", "libero_object/0"):
        whole = list(read_trajectories(dataset, task=task))
        episodes = list(read_compact(small, task))
        assert [e.episode_id for e in episodes] == [t.episode_id for t in whole]
        for episode, trajectory in zip(episodes, whole, strict=True):
            for ours, theirs in (("actions", "action"), ("decisions", "decision")):
                assert np.array_equal(getattr(episode, ours), getattr(trajectory, theirs))
            for name in ("init_state", "fixture_poses"):
                assert np.array_equal(getattr(episode, name), getattr(trajectory, name))
            for name in ("source", "seed", "init_state_index", "success", "num_settle_steps"):
                assert episode.row[name] == getattr(trajectory, name)
            assert episode.states_sha256 == digest_states(trajectory.sim_state)[1]
    assert [e.row["part"] for e in read_compact(small, "libero_goal/3")] == [0] * 4 + [1] * 4
    report = verify_compact(small)
    assert report.ok
    assert (report.num_episodes, report.num_rows) == (12, 8 * 12 + 4 * 15)


def test_it_reads_with_pyarrow_alone(small):
    rows = pq.read_table(small / "libero_goal/3.parquet").to_pylist()
    assert np.array(rows[0]["actions"]).shape == (12, 7)


def test_a_release_grows_by_tasks_and_never_changes_one(dataset, small, tmp_path, make_trajectory):
    before = (small / "libero_goal/3.parquet").read_bytes(), read_compact_manifest(small)
    assert compact(dataset, small) == before[1]  # the same call again
    with DatasetWriter(tmp_path / "more", config={"seed": 1}) as writer:
        writer.append([make_trajectory(0, task="libero_spatial/2")])
    manifest = compact(tmp_path / "more", small)
    assert [each.task for each in manifest.files] == [
        *("libero_goal/3", "libero_object/0", "libero_spatial/2")
    ]
    assert [each.origin for each in manifest.files] == [0, 0, 1]
    assert (small / "libero_goal/3.parquet").read_bytes() == before[0]
    with DatasetWriter(tmp_path / "other", config={"seed": 2}) as writer:
        writer.append([make_trajectory(99)])
    with pytest.raises(DatasetError, match=r"has other episodes of libero_goal/3 .*Nothing was ch"):
        compact(tmp_path / "other", small)


def test_other_episodes_of_a_task_are_told_by_content_and_replaced_on_request(
    dataset, small, tmp_path, make_trajectory
):
    """Another expert's episodes of the same seed have the same ids."""
    new, kept = tmp_path / "new", (small / "libero_goal/3.parquet").read_bytes()
    with DatasetWriter(new, config={"seed": 3}) as writer:
        for trajectory in read_trajectories(dataset, task="libero_object/0"):
            action = 0.5 * trajectory.action
            writer.append([dataclasses.replace(trajectory, action=action)])
    with pytest.raises(DatasetError, match=r"other episodes of libero_object/0 .*--replace"):
        compact(new, small)
    manifest = compact(new, small, replace=True)
    assert read_compact_manifest(small) == manifest
    assert [each.origin for each in manifest.files] == [0, 1]
    assert (small / "libero_goal/3.parquet").read_bytes() == kept
    actions = [e.actions for e in read_compact(small, "libero_object/0")]
    assert np.array_equal(actions, [t.action for t in read_trajectories(new)])
    assert compact(new, small) == manifest
    # What was only the replaced episodes' origin is forgotten.
    manifest = compact(dataset, small, replace=True)
    assert [each.origin for each in manifest.files] == [0, 0]
    assert len(manifest.origins) == 1


def test_either_kind_says_what_to_do_with_it(dataset, small):
    assert is_compact(small)
    assert not is_compact(dataset)
    with pytest.raises(DatasetError, match=r"is a compact dataset.*dataset hydrate"):
        read_manifest(small)
    with pytest.raises(DatasetError, match=r"is a dataset, not a compact one"):
        read_compact_manifest(dataset)
    with pytest.raises(DatasetError, match=r"is not a compact dataset"):
        read_compact_manifest(small / "libero_goal")
    with pytest.raises(DatasetError, match=r"no episodes of libero_goal/4. It has libero_goal/3"):
        next(read_compact(small, "libero_goal/4"))


def test_other_versions_are_refused(small):
    manifest = read_compact_manifest(small)
    check_versions(small, manifest, manifest.versions)
    with pytest.raises(DatasetError, match=r"installed is mujoco 3\.17\.0.*pip install mujoco=="):
        check_versions(small, manifest, {**manifest.versions, "mujoco": "3.17.0"})


def test_datasets_of_two_backends_are_refused(tmp_path, make_trajectory):
    config = {"a": {"sim": {"backend": "stock"}}, "b": {"sim": {"backend": "exact"}}}
    with DatasetWriter(tmp_path / "mixed", config=config) as writer:
        writer.append([make_trajectory(0)])
    with pytest.raises(DatasetError, match="stock and exact"):
        compact(tmp_path / "mixed", tmp_path / "out")


def test_damage_to_files_is_found(small):
    path = small / "libero_goal/3.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (small / "libero_goal/4.parquet").write_bytes(b"")
    (small / "libero_object/0.parquet").unlink()
    assert [p.kind for p in verify_compact(small).problems] == ["checksum", "missing", "extra"]
    with pytest.raises(DatasetError, match="is damaged"):
        next(read_compact(small, "libero_goal/3"))
    text = (small / "manifest.json").read_text()
    (small / "manifest.json").write_text(text.replace('"exact"', '"stock"'))
    assert [p.kind for p in verify_compact(small).problems] == ["manifest"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.append(rows[0]), "is in the dataset twice"),
        (lambda rows: rows[0].update(length=11), "says 11 env steps and has 12"),
        (lambda rows: rows[0]["actions"][3].__setitem__(0, 1e30), r"not in \[-1, 1\]"),
        (lambda rows: rows[0]["actions"][3].__setitem__(0, float("nan")), r"not in \[-1, 1\]"),
        (lambda rows: rows[0]["init_state"].__setitem__(1, float("inf")), "is not finite"),
        (lambda rows: rows[0].update(init_state=None), "has no init_state"),
        (lambda rows: rows[0].update(task="libero_goal/4"), "is of libero_goal/4"),
    ],
)
def test_faults_of_a_writer_are_found(small, change, words):
    edit(small, "libero_goal/3", change)
    with pytest.raises(DatasetError, match=words):
        verify_compact(small).check()
