import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.card import dataset_info, write_card
from rl_datagen.data.dataset import (
    read_episodes,
    read_images,
    read_trajectories,
    rendered_episodes,
)
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.schema import STEPS_SCHEMA
from rl_datagen.data.shards import (
    episode_row,
    open_parquet,
    steps_table,
    to_trajectory,
    write_parquet,
)
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.tasks.files import task_digests


def finite(dtype, *shape, limit=None):
    limits = {"min_value": -limit, "max_value": limit} if limit else {}
    width = np.dtype(dtype).itemsize * 8
    values = st.floats(width=width, allow_nan=False, allow_infinity=False, **limits)
    return arrays(dtype, shape, elements=values)


@st.composite
def trajectories(draw):
    length, states, fixtures = (
        draw(st.integers(1, 6)),
        draw(st.integers(1, 9)),
        draw(st.integers(0, 3)),
    )
    objects = draw(st.integers(0, 4))
    return Trajectory(
        episode_id=draw(st.text(st.characters(codec="utf-8"), min_size=1)),
        task=draw(st.sampled_from(["libero_goal/3", "libero_90/12", "libero_object/0"])),
        source=draw(st.sampled_from(["human", "amplified", "gaussian_rl", "diffusion_rl"])),
        seed=draw(st.integers(0, 2**31 - 1)),
        init_state_index=draw(st.none() | st.integers(0, 49)),
        success=draw(st.booleans()),
        num_settle_steps=draw(st.integers(0, 50)),
        init_state=draw(finite(np.float64, states)),
        fixture_poses=draw(finite(np.float64, fixtures, 7)),
        sim_state=draw(finite(np.float64, length, states)),
        action=draw(finite(np.float32, length, 7, limit=1)),
        proprio=draw(finite(np.float32, length, 8)),
        ee_pos=draw(finite(np.float64, length, 3)),
        ee_quat=draw(finite(np.float64, length, 4)),
        gripper_qpos=draw(finite(np.float64, length, 2)),
        joint_pos=draw(finite(np.float64, length, 7)),
        object_state=draw(finite(np.float32, length, objects)),
        reward=draw(finite(np.float32, length)),
        decision=draw(arrays(np.int32, length)),
    )


def bits(trajectory):
    return [
        (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        for value in vars(trajectory).values()
    ]


@settings(max_examples=40, deadline=None)
@given(trajectories())
def test_a_trajectory_survives_a_shard_bit_for_bit(tmp_path_factory, trajectory):
    path = tmp_path_factory.mktemp("shard") / "part.parquet"
    write_parquet(path, STEPS_SCHEMA, [steps_table(trajectory)])
    row = json.loads(json.dumps(episode_row(trajectory), default=lambda array: array.tolist()))
    again = to_trajectory(open_parquet(path).read_row_group(0), row)
    assert bits(again) == bits(trajectory)


def test_a_dataset_returns_what_was_stored(dataset, make_trajectory):
    written = [make_trajectory(i) for i in range(4)]
    written += [make_trajectory(i, length=15) for i in range(4, 8)]
    read = list(read_trajectories(dataset, task="libero_goal/3"))
    assert [bits(t) for t in read] == [bits(t) for t in written]
    chosen = [written[5].episode_id]
    assert list(read_trajectories(dataset, episode_ids=chosen)) == [written[5]]


def test_arrays_read_are_writable(dataset):
    assert all(t.action.flags.writeable for t in read_trajectories(dataset))


def test_shards_have_one_row_group_per_episode_and_units_in_the_file(dataset):
    file = pq.ParquetFile(dataset / "shards/libero_goal/3/part-00000.parquet")
    assert file.num_row_groups == 4
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert b"0.05 m" in file.schema_arrow.field("action").metadata[b"description"]


def test_plain_readers_open_the_shards(dataset):
    table = pyarrow.dataset.dataset(dataset / "shards").to_table()
    assert table.num_rows == 4 * 12 + 4 * 15 + 4 * 12
    assert pq.read_table(dataset / "shards").schema.field("task").type == "string"
    assert set(table["task"].to_pylist()) == {"libero_goal/3", "libero_object/0"}


def test_the_last_step_terminates_or_truncates(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "d", config={}) as writer:
        writer.append([make_trajectory(0), make_trajectory(1, success=False)])
    table = pq.read_table(tmp_path / "d/shards/libero_goal/3/part-00000.parquet")
    ends = [i for i, step in enumerate(table["step"].to_pylist()) if step == 11]
    assert [table["terminated"][i].as_py() for i in ends] == [True, False]
    assert [table["truncated"][i].as_py() for i in ends] == [False, True]
    assert sum(table["terminated"].to_pylist()) == sum(table["truncated"].to_pylist()) == 1


def test_appending_again_neither_repeats_nor_loses(dataset, make_trajectory):
    before = (dataset / "manifest.json").read_bytes()
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        assert len(writer.episode_ids) == 12
        writer.append([make_trajectory(i) for i in range(4)])
    assert (dataset / "manifest.json").read_bytes() == before
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        writer.append([make_trajectory(i) for i in range(6, 10)])
    assert read_episodes(dataset).num_rows == 14
    verify(dataset).check()


def test_shards_added_in_any_order_make_the_same_dataset(tmp_path, make_trajectory):
    shards = [
        (task, part, [make_trajectory(10 * part + i, task=task) for i in range(2)])
        for task in ("libero_90/2", "libero_90/10", "libero_goal/3")
        for part in range(2)
    ]
    manifests = []
    for name, order in (("forth", shards), ("back", shards[::-1])):
        with DatasetWriter(tmp_path / name, config={}, origin={}) as writer:
            for task, part, episodes in order:
                assert not writer.has_part(task, part)
                writer.append(episodes, part=part)
                assert writer.has_part(task, part)
        manifests.append((tmp_path / name / "manifest.json").read_bytes())
    assert manifests[0] == manifests[1]
    manifest = read_manifest(tmp_path / "back")
    assert [shard.task for shard in manifest.shards][::2] == [
        "libero_90/2",
        "libero_90/10",
        "libero_goal/3",
    ]
    assert list(read_trajectories(tmp_path / "back")) == [t for *_, e in shards for t in e]
    assert verify(tmp_path / "back").content_hash == manifest.content_hash
    with DatasetWriter(tmp_path / "back", config={}) as writer:
        with pytest.raises(DatasetError, match=r"has a shard .*part-00001\.parquet with other"):
            writer.append([make_trajectory(99, task="libero_90/2")], part=1)
        writer.append([make_trajectory(99, task="libero_90/2")], part=7)
        writer.append([make_trajectory(98, task="libero_90/2")])
        assert writer.has_part("libero_90/2", 8)
    assert read_manifest(tmp_path / "back").content_hash != manifest.content_hash
    verify(tmp_path / "back").check()


def test_a_dataset_is_opened_again_under_whatever_configuration_it_has(dataset, tmp_path):
    with DatasetWriter(dataset, config=None) as writer:
        assert writer.manifest.config == {"seed": 0}
    with pytest.raises(DatasetError, match="is not a dataset"):
        DatasetWriter(tmp_path / "nowhere", config=None)
    assert not (tmp_path / "nowhere").exists()


def test_another_configuration_is_refused_and_both_ways_out_named(dataset, make_trajectory):
    before = (dataset / "manifest.json").read_bytes()
    with pytest.raises(DatasetError, match=r"seed, sim differ.*name=.*deleting"):
        DatasetWriter(dataset, config={"sim": {"backend": "stock"}, "seed": 1})
    assert (dataset / "manifest.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match="is not a dataset"):
        DatasetWriter(tmp_path, config={})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_writers_at_once_are_refused(dataset):
    with (
        DatasetWriter(dataset, config={"seed": 0}),
        pytest.raises(DatasetError, match="Another process"),
    ):
        DatasetWriter(dataset, config={"seed": 0})
    DatasetWriter(dataset, config={"seed": 0}).close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ee_pos": np.full((12, 3), np.inf)}, "ee_pos at step 0 that is not finite"),
        ({"length": 0}, "no env step"),
    ],
)
def test_episodes_that_cannot_be_stored(tmp_path, make_trajectory, changes, message):
    with DatasetWriter(tmp_path / "d", config={}) as writer:
        with pytest.raises(DatasetError, match=message):
            writer.append([make_trajectory(0), make_trajectory(1, **changes)])
        assert not writer.manifest.shards
    assert verify(tmp_path / "d").ok


def test_arrays_that_disagree_cannot_be_stored(make_trajectory):
    trajectory = make_trajectory(0)
    object.__setattr__(trajectory, "reward", np.zeros(3, np.float32))
    with pytest.raises(DatasetError, match="3 rows of reward but 12 actions"):
        steps_table(trajectory)


def test_a_shard_is_of_one_task_and_of_distinct_episodes(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "d", config={}) as writer:
        with pytest.raises(DatasetError, match="one task"):
            writer.append([make_trajectory(0), make_trajectory(0, task="libero_90/1")])
        with pytest.raises(DatasetError, match="2 times"):
            writer.append([make_trajectory(0), make_trajectory(0)])


def _write_forever(path, ready, make):
    with DatasetWriter(path, config={}, origin={}) as writer:
        for part in range(400):
            writer.append([make(part * 2), make(part * 2 + 1)])
            ready.set()


def test_a_killed_writer_leaves_nothing_half_and_a_rerun_gives_the_same(tmp_path, make_trajectory):
    context = multiprocessing.get_context("fork")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for delay in (0.0, 0.013, 0.031, 0.047):
        ready = context.Event()
        process = context.Process(target=_write_forever, args=(killed, ready, make_trajectory))
        process.start()
        assert ready.wait(30)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kinds = {problem.kind for problem in verify(killed).problems}
        assert kinds <= {"extra"}  # at most whole files that are not listed yet
    count = len(read_manifest(killed).shards) + 3
    for path in (killed, whole):
        with DatasetWriter(path, config={}, origin={}) as writer:
            for part in range(count):
                writer.append([make_trajectory(part * 2), make_trajectory(part * 2 + 1)])
        verify(path).check()
    assert (killed / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()
    hidden = [path for path in killed.rglob(".*") if path.is_file()]
    assert [path.name for path in hidden] == [".lock"]


def test_images_are_added_beside_the_shard(dataset, make_trajectory):
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (2, 12, 16, 20, 3), np.uint8)
    ids = read_episodes(dataset)["episode_id"].to_pylist()
    sums = [file.sha256 for file in read_manifest(dataset).files()]
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        shard = writer.shard_of(ids[1])
        assert shard == writer.manifest.shards[0]
        assert writer.shard_of(ids[-1]) == writer.manifest.shards[-1]
        with pytest.raises(DatasetError, match="no episode 'nobody'"):
            writer.shard_of("nobody")
        for name in ids[:2]:
            writer.append_images(iter([RenderedEpisode(name, *views)]), shard=shard)
        writer.append_images([], shard=shard)
    assert rendered_episodes(dataset) == ids[:2]
    again = read_images(dataset, ids[1])
    np.testing.assert_array_equal(again.agentview, views[0])
    np.testing.assert_array_equal(again.wrist, views[1])
    assert set(sums) < {file.sha256 for file in read_manifest(dataset).files()}
    verify(dataset).check()
    with pytest.raises(DatasetError, match="has no images"):
        read_images(dataset, ids[2])


def test_images_that_do_not_fit_are_found(dataset):
    views = np.zeros((2, 11, 16, 16, 3), np.uint8)
    ids = read_episodes(dataset)["episode_id"].to_pylist()
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        shard = writer.manifest.shards[0]
        rendered = [RenderedEpisode(name, *views) for name in (ids[0], ids[0], "nobody")]
        writer.append_images(rendered, shard=shard)
        for name, holder in ((ids[0], shard), (ids[1], writer.manifest.shards[1])):
            with pytest.raises(DatasetError, match=r"is not in .* or has its images already"):
                writer.append_images([RenderedEpisode(name, *views)], shard=holder)
        steps = shard.steps.model_copy(update={"path": "shards/x"})
        unknown = shard.model_copy(update={"steps": steps})
        with pytest.raises(DatasetError, match="no shard"):
            writer.append_images([], shard=unknown)
    messages = " ".join(problem.message for problem in verify(dataset).problems)
    assert "does not have images of each of its steps" in messages
    assert "has its images twice" in messages
    assert "'nobody' is not in" in messages


def test_info_and_card(dataset):
    info = dataset_info(dataset)
    assert (info.num_episodes, info.num_shards, info.num_rendered) == (12, 3, 0)
    goal = next(task for task in info.tasks if task.task == "libero_goal/3")
    assert (goal.num_episodes, goal.length_min, goal.length_mean, goal.length_max) == (
        8,
        12,
        13.5,
        15,
    )
    text = write_card(dataset).read_text()
    assert text.startswith("---\nlicense: cc-by-4.0\n")
    assert "Apache-2.0" in text
    assert (
        "| `libero_goal/3` | open the top drawer and put the bowl inside | amplified | 8 | 8 |"
        in text
    )
    assert verify(dataset).ok


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # Ray warns of its own settings
def test_ray_reads_the_shards(dataset):
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        ignore_reinit_error=True,
    )
    try:
        rows = ray.data.read_parquet(str(dataset / "shards")).take_all()
    finally:
        ray.shutdown()
    assert len(rows) == 4 * 12 + 4 * 15 + 4 * 12
    assert {row["task"] for row in rows} == {"libero_goal/3", "libero_object/0"}
    assert {len(row["action"]) for row in rows} == {7}


def test_a_manifest_says_which_definition_each_task_has_and_is_the_same_dataset(
    make_trajectory, tmp_path
):
    hashes = set()
    for name, origin in (("a", None), ("b", {"git": "abc"})):
        with DatasetWriter(tmp_path / name, config={}, origin=origin) as writer:
            writer.append([make_trajectory(0)])
        manifest = read_manifest(tmp_path / name)
        hashes.add(manifest.content_hash)
        assert manifest.provenance.get("task_files") == (None if origin else task_digests())
    assert len(hashes) == 1
