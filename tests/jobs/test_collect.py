"""The collection's driver, with the workers' part replaced by made-up episodes."""

import pytest

from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import DatasetError, SimulatorError, UserError
from rl_datagen.data.dataset import read_episodes, read_trajectories
from rl_datagen.data.files import NewShard
from rl_datagen.data.manifest import read_manifest, write_manifest
from rl_datagen.data.verify import verify
from rl_datagen.jobs import collect as job
from rl_datagen.jobs.stored import Experts, StoredExpert
from rl_datagen.rollout import count_attempts
from rl_datagen.tasks import select_tasks
from tests.told import Told

TASKS = "libero_goal/3,libero_goal/4"


@pytest.fixture
def in_process(monkeypatch, make_trajectory):
    """Runs units here, and collects made-up episodes; returns the units that were run."""
    ran = []

    def collect_shard(unit, tell):
        ran.append((unit.task.id, unit.shard))
        first = 100 * unit.shard
        episodes = [
            make_trajectory(first + i, task=unit.task.id, source="diffusion_rl")
            for i in range(unit.size)
        ]
        on_episode = count_attempts(tell, unit.size)
        for episode in episodes:
            on_episode(episode)
        return NewShard(episodes, unit.shard, unit.actor.id, unit.size + 1)

    monkeypatch.setattr(job, "collect_shard", collect_shard)
    monkeypatch.setattr(job._Collect, "num_in_process", 100)
    return ran


@pytest.fixture
def experts(monkeypatch):
    """Experts of every task, but for those that a test removes; returns their weights."""
    weights = {task.id: b"1" for task in select_tasks("all")}

    def read(self, task):
        if task.id not in weights:
            raise UserError(f"{task.id} has no expert: x lacks weights.safetensors.")
        files = {"weights.safetensors": weights[task.id], "norm_stats.json": b"{}"}
        files["config.yaml"] = b"name: x"
        return StoredExpert(files, task.id)

    monkeypatch.setattr(Experts, "read", read)
    return weights


def config(tmp_path, **settings):
    values = {"experts": "x", "task": TASKS, "num_episodes": 5, "num_episodes_per_shard": 2}
    return CollectionConfig(output_dir=str(tmp_path), **{**values, **settings})


@pytest.mark.usefixtures("experts")
def test_each_task_has_exactly_the_episodes_that_were_asked_for(tmp_path, in_process):
    told = Told()
    path = job.collect(config(tmp_path), told)
    verify(path).check()
    manifest = read_manifest(path)
    assert [shard.num_episodes for shard in manifest.shards] == [2, 2, 1, 2, 2, 1]
    assert [shard.num_attempts for shard in manifest.shards] == [3, 3, 2, 3, 3, 2]
    assert (told.totals, told.done) == ([10], 10)
    assert "10 attempts, 100% succeeded" in told.details[-1]
    ids = {row["expert"] for row in read_episodes(path).to_pylist()}
    assert {expert.partition("@")[0] for expert in ids} == {"libero_goal/3/x", "libero_goal/4/x"}
    assert len(in_process) == 6
    job.collect(config(tmp_path))
    assert len(in_process) == 6


@pytest.mark.usefixtures("experts")
def test_shards_in_any_order_make_the_same_dataset(tmp_path, in_process, monkeypatch):
    whole = job.collect(config(tmp_path / "whole"))
    keys = job._Collect.keys
    monkeypatch.setattr(job._Collect, "keys", lambda self: keys(self)[::-1])
    other = job.collect(config(tmp_path / "other"))
    assert (whole / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()
    assert list(read_trajectories(whole)) == list(read_trajectories(other))


def test_what_cannot_be_collected_is_named_and_the_others_go_on(
    tmp_path, in_process, experts, monkeypatch
):
    collect_shard = job.collect_shard

    def fail(unit, tell):
        if (unit.task.id, unit.shard) == ("libero_goal/4", 1):
            raise UserError("Only 1 of 10 attempts reached the goal.")
        if (unit.task.id, unit.shard) == ("libero_goal/4", 2):
            raise SimulatorError("the physics diverged", task=unit.task.id)
        return collect_shard(unit, tell)

    monkeypatch.setattr(job, "collect_shard", fail)
    weights = experts.pop("libero_goal/3")
    with pytest.raises(UserError) as error:
        job.collect(config(tmp_path))
    for words in (
        "8 of 10 episodes are missing",
        "libero_goal/3 has no expert",
        "libero_goal/4 shard 1: Only 1 of 10",
        "libero_goal/4 shard 2: the physics diverged",
        "max_attempts_per_episode",
    ):
        assert words in str(error.value)
    path = tmp_path / "datasets" / "collected"
    assert verify(path).num_episodes == 2
    experts["libero_goal/3"] = weights
    monkeypatch.setattr(job, "collect_shard", collect_shard)
    job.collect(config(tmp_path, max_attempts_per_episode=50))
    assert verify(path).num_episodes == 10
    whole = job.collect(config(tmp_path / "whole"))
    assert read_manifest(path).content_hash == read_manifest(whole).content_hash


def test_episodes_of_another_expert_are_not_mixed_in(tmp_path, in_process, experts):
    job.collect(config(tmp_path, task="libero_goal/3"))
    path = tmp_path / "datasets/collected"
    manifest = read_manifest(path)
    shards = manifest.shards
    write_manifest(path, manifest.model_copy(update={"shards": shards[:1]}))  # as if cut off
    experts["libero_goal/3"] = b"2"
    with pytest.raises(UserError, match=r"of expert libero_goal/3/x@.* and now it is"):
        job.collect(config(tmp_path))
    assert len(read_manifest(tmp_path / "datasets/collected").shards) == 4


def test_a_finished_dataset_of_another_expert_is_not_called_done(tmp_path, in_process, experts):
    job.collect(config(tmp_path))
    experts["libero_goal/3"] = b"2"
    with pytest.raises(UserError, match=r"libero_goal/3 shard 0: .*of expert .* and now it is"):
        job.collect(config(tmp_path))
    del experts["libero_goal/3"]
    job.collect(config(tmp_path))
    assert len(in_process) == 6


@pytest.mark.usefixtures("experts", "in_process")
def test_two_collectors_at_once_are_refused_and_neither_is_harmed(tmp_path):
    path = tmp_path / "datasets" / "collected"

    class Second(Told):
        def advance(self, units=1, detail=""):
            with pytest.raises(DatasetError, match="Another process is writing"):
                job.collect(config(tmp_path))

    job.collect(config(tmp_path), Second())
    assert verify(path).num_episodes == 10


@pytest.mark.usefixtures("experts", "in_process")
def test_other_settings_under_the_same_name_are_refused(tmp_path):
    job.collect(config(tmp_path))
    with pytest.raises(DatasetError, match="init_states"):
        job.collect(config(tmp_path, init_states="shipped"))


def test_demonstrations_that_are_missing_are_named(tmp_path, in_process):
    (tmp_path / "empty").mkdir()
    settings = {"experts": None, "source": "amplified", "demonstrations": str(tmp_path / "empty")}
    with pytest.raises(UserError, match="libero_goal/3 has no human demonstration in"):
        job.collect(config(tmp_path, **settings))
    nowhere = {**settings, "demonstrations": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match="does not exist"):
        job.collect(config(tmp_path / "other", **nowhere))
    assert not (tmp_path / "other").exists()
