from collections import Counter

import numpy as np
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.dataset import read_episodes, read_rendered, read_trajectories
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from tests.told import Told

TASKS = ("libero_goal/3", "libero_goal/4")


@pytest.fixture
def human(tmp_path, make_trajectory):
    """Two tasks, three episodes each."""
    path = tmp_path / "human"
    with DatasetWriter(path, config={"seed": 1}, origin={"git": "abc"}) as writer:
        for task in TASKS:
            writer.append(
                [make_trajectory(i, task=task, source="human") for i in range(3)], num_attempts=4
            )
    return path


@pytest.fixture
def experts(tmp_path, make_trajectory):
    """The same two tasks, eight episodes each in two shards, all rendered."""
    path = tmp_path / "experts"
    with DatasetWriter(path, config={"seed": 2}, origin={"git": "abc"}) as writer:
        for task in TASKS:
            for part in range(2):
                numbers = range(4 * part, 4 * part + 4)
                writer.append(
                    [make_trajectory(i, task=task, source="diffusion_rl") for i in numbers],
                    expert=f"{task}/x@1",
                )
        for trajectory in read_trajectories(path):
            views = np.random.default_rng(trajectory.seed).integers(0, 255, (2, 12, 16, 16, 3))
            episode = RenderedEpisode(trajectory.episode_id, *views.astype(np.uint8))
            writer.append_images([episode], shard=writer.shard_of(trajectory.episode_id))
    return path


def contents(dataset, names=None):
    return {
        trajectory.episode_id: (trajectory, images.wrist.tobytes() if images else None)
        for trajectory, images in read_rendered(dataset, episode_ids=names)
    }


def test_without_weights_everything_is_taken_and_linked(tmp_path, human, experts):
    merge(tmp_path / "both", [(human, None), (experts, None)])
    report = verify(tmp_path / "both")
    report.check()
    assert report.num_episodes == 22
    assert contents(tmp_path / "both") == contents(human) | contents(experts)
    first = tmp_path / "both" / "shards/libero_goal/3/part-00001.parquet"
    assert first.samefile(experts / "shards/libero_goal/3/part-00000.parquet")
    rows = read_episodes(tmp_path / "both").to_pylist()
    assert {row["expert"] for row in rows} == {None, "libero_goal/3/x@1", "libero_goal/4/x@1"}
    assert {row["shard"] for row in rows} == {
        shard.steps.path for shard in read_manifest(tmp_path / "both").shards
    }
    inputs = read_manifest(tmp_path / "both").config["merge"]["inputs"]
    assert inputs[str(human)]["provenance"] == {"git": "abc"}
    assert inputs[str(experts)]["content"] == read_manifest(experts).content_hash


@pytest.mark.parametrize(
    ("weights", "counts"), [((1, 2), (6, 12)), ((1, 1), (6, 6)), ((0.5, 0.2), (6, 2))]
)
def test_weights_decide_how_many_episodes_are_taken_evenly_over_the_tasks(
    tmp_path, human, experts, weights, counts
):
    out = tmp_path / "mixed"
    taken = merge(out, list(zip((human, experts), weights, strict=True)))
    verify(out).check()
    assert tuple(source.num_episodes for source in taken) == counts
    rows = read_episodes(out).to_pylist()
    by_task = Counter((row["source"], row["task"]) for row in rows)
    assert set(by_task.values()) == {counts[0] // 2, counts[1] // 2}
    whole = contents(human) | contents(experts)
    assert contents(out) == {row["episode_id"]: whole[row["episode_id"]] for row in rows}
    before = read_manifest(out)
    merge(out, list(zip((human, experts), weights, strict=True)))
    assert read_manifest(out) == before


def test_a_copy_without_images(tmp_path, experts):
    merge(tmp_path / "bare", [(experts, None)], images=False)
    assert verify(tmp_path / "bare").ok
    assert all(images is None for _, images in read_rendered(tmp_path / "bare"))
    assert not (tmp_path / "bare" / "images").exists()


def test_a_merge_that_was_stopped_goes_on(tmp_path, human, experts, monkeypatch):
    inputs = [(human, 1.0), (experts, 2.0)]
    merge(tmp_path / "whole", inputs)
    add, calls = DatasetWriter.add, []

    def die(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(self, *arguments)

    monkeypatch.setattr(DatasetWriter, "add", die)
    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path / "stopped", inputs)
    monkeypatch.undo()
    merge(tmp_path / "stopped", inputs)
    whole, stopped = (read_manifest(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.content_hash == stopped.content_hash
    assert verify(tmp_path / "stopped").ok


def test_what_cannot_be_merged_is_named_and_leaves_nothing(tmp_path, human, experts):
    out = tmp_path / "out"
    for inputs, message in (
        ([(human, None), (human, None)], r"-human-00000' is in .*human and in .*another seed"),
        ([(human, 1.0), (experts, None)], "give all of them one"),
        ([(human, 1.0), (experts, -1.0)], "positive"),
        ([(human, 1.0), (experts, 1e-9)], "gives no episode"),
        ([(tmp_path / "nowhere", None)], "is not a dataset"),
    ):
        with pytest.raises(DatasetError, match=message):
            merge(out, inputs)
    assert not out.exists()


def test_a_damaged_input_is_refused(tmp_path, human):
    shard = human / "shards/libero_goal/3/part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(DatasetError, match="damaged"):
        merge(tmp_path / "out", [(human, None)])


def test_merging_verifying_and_compacting_say_how_far_they_are(tmp_path, human, experts):
    told = Told()
    merge(tmp_path / "both", [(human, None), (experts, None)], progress=told)
    shards = len(read_manifest(tmp_path / "both").shards)
    assert (told.stages, told.totals, told.done) == (["merge"], [shards], shards)
    told = Told()
    verify(tmp_path / "both", progress=told).check()
    files = len(list(read_manifest(tmp_path / "both").files()))
    assert (told.totals, told.done) == ([files, shards], shards)
    assert told.units == ["files compared", "shards read"]
