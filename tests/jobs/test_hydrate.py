"""Compact episodes, replayed, are the dataset they came from."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import SimConfig
from rl_datagen.core.errors import ConfigError, DatasetError, UserError
from rl_datagen.core.provenance import package_versions
from rl_datagen.data import compact as form
from rl_datagen.data.compact import compact, read_compact_manifest
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import load_human_demonstration
from rl_datagen.demos.human import ReplayPolicy
from rl_datagen.jobs.check_replay import check_replay
from rl_datagen.jobs.hydrate import hydrate
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from tests.data.test_compact import edit
from tests.told import Told

pytestmark = pytest.mark.sim
TASK = "libero_goal/8"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A dataset in two shards: the human's success, which goes on after it, and failures."""
    scene = load_scene(get_task(TASK))
    human = load_human_demonstration(scene.task)
    policy = ReplayPolicy(human.actions)
    plans = [PlannedEpisode("e0", human.place(scene), 0)]
    plans += [PlannedEpisode(f"e{n}", scene.shipped_state(n), n) for n in (1, 2)]
    plans += [PlannedEpisode("e3", scene.draw_state(3), 3)]
    limit = SimConfig(max_episode_steps=len(human.actions) + 5)
    episodes = rollout(policy, scene, plans, source="human", sim=limit, num_steps_after_success=3)
    episodes = sorted(episodes, key=lambda episode: episode.episode_id)
    assert episodes[0].success
    path = tmp_path_factory.mktemp("whole") / "d"
    with DatasetWriter(path, config={"sim": {"backend": "exact"}}) as writer:
        writer.append(episodes[:2], expert="one", num_attempts=5)
        writer.append(episodes[2:], num_attempts=2)
    return path


@pytest.fixture(scope="module", autouse=True)
def ray(tmp_path_factory):
    """One Ray for all of these."""
    with ray_session(tmp_path_factory.mktemp("ray") / "ray.log", 2):
        yield


@pytest.fixture
def small(whole, tmp_path):
    compact(whole, tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.slow
def test_the_dataset_comes_back_byte_for_byte_and_resumes(whole, small, tmp_path):
    told = Told()
    outcome = hydrate(small, tmp_path / "back", progress=told)
    assert (outcome.missing, outcome.problems, told.totals, told.done) == (0, (), [4], 4)
    assert read_manifest(tmp_path / "back").content_hash == read_manifest(whole).content_hash
    attempts = [shard.num_attempts for shard in read_manifest(tmp_path / "back").shards]
    assert attempts == [5, 2]
    verify(tmp_path / "back").check()
    hydrate(small, tmp_path / "back", progress=told).check()
    assert told.totals == [4, 0]
    with pytest.raises(ConfigError, match=r"selects no task of .*libero_goal/8"):
        hydrate(small, tmp_path / "back", tasks="libero_10")
    assert check_replay(tmp_path / "back", 1).problems == ()


def flip_digest(rows):
    rows[2]["states_sha256"] = "0" * 64
    rows[2]["state_sums"][7] ^= 1


@pytest.mark.slow
def test_an_episode_that_does_not_replay_is_named_and_its_shard_not_stored(small, tmp_path):
    edit(small, TASK, flip_digest)
    outcome = hydrate(small, tmp_path / "back")
    assert (outcome.missing, outcome.total) == (2, 4)
    (sentence,) = outcome.problems
    assert "episode e2 leaves the recorded states at env step 7 (mujoco 3.3.7" in sentence
    with pytest.raises(UserError, match="2 of 4 episodes are missing; the others are in"):
        outcome.check()
    (problem,) = check_replay(small, 4).problems
    assert "episode e2" in problem
    result = CliRunner().invoke(app, ["dataset", "verify", str(small), "--replay", "4"])
    assert isinstance(result.exception, DatasetError)
    assert "1 of 4 episodes do not replay" in str(result.exception)


def test_another_mujoco_is_refused_before_anything_is_written(small, tmp_path, monkeypatch):
    def other():
        return package_versions() | {"mujoco": "3.17.0"}

    monkeypatch.setattr(sys.modules[hydrate.__module__], "package_versions", other)
    with pytest.raises(DatasetError, match=r"replay on mujoco 3\.3\.7; installed is mujoco 3\.17"):
        hydrate(small, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.slow
def test_the_commands(whole, tmp_path):
    def run(*words):
        result = CliRunner().invoke(app, ["dataset", *map(str, words)])
        assert result.exit_code == 0, result.exception
        return result.stdout

    small, back = tmp_path / "small", tmp_path / "back"
    assert "4 episodes of 1 task(s)" in run("compact", whole, small)
    assert "sound. 4 episodes" in run("verify", small)
    assert "hydrate: done" in run("hydrate", small, back, "--render", "--size", "64")
    assert "1 of 1 replayed episodes are as recorded" in run("verify", back, "--replay", "1")
    assert len(read_compact_manifest(small).files) == 1
    table = pq.read_table(small / f"{TASK}.parquet")
    assert table.schema.equals(form.COMPACT_SCHEMA)
    assert pa.types.is_list(table.schema.field("actions").type)
