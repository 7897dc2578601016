"""``dataset label``: shard by shard, resumed, and refused where there are no states."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import SimConfig
from rl_datagen.core.errors import ConfigError
from rl_datagen.data import read_failures, read_labels
from rl_datagen.data.compact import compact
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy, load_human_demonstration
from rl_datagen.jobs.label import label_dataset
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from tests.told import Told

pytestmark = pytest.mark.sim
TASK = "libero_goal/8"


@pytest.fixture(scope="module")
def episodes():
    """The human's success, and its first steps, in which nothing comes about."""
    scene = load_scene(get_task(TASK))
    human = load_human_demonstration(scene.task)
    found = []
    for name, limit in (("whole", len(human.actions)), ("short", 20)):
        plans = [PlannedEpisode(name, human.place(scene), limit)]
        sim = SimConfig(max_episode_steps=limit)
        found += rollout(ReplayPolicy(human.actions), scene, plans, source="human", sim=sim)
    return found


@pytest.fixture
def dataset(episodes, tmp_path):
    """A shard for each."""
    with DatasetWriter(tmp_path / "d", config={"sim": {"backend": "exact"}}) as writer:
        for episode in episodes:
            writer.append([episode])
    return tmp_path / "d"


@pytest.mark.slow
def test_labels_are_added_once_and_say_why_it_failed(dataset, episodes):
    told = Told()
    with ray_session(dataset.parent / "ray.log", 2):
        outcome = label_dataset(dataset, progress=told)
    assert (outcome.missing, outcome.problems, told.totals, told.done) == (0, (), [2], 2)
    verify(dataset).check()
    assert read_failures(dataset) == {"whole": None, "short": "timeout"}
    assert len(read_labels(dataset, "whole")) == len(episodes[0])
    content = read_manifest(dataset).content_hash
    label_dataset(dataset, progress=told).check()
    assert told.totals == [2, 0]
    assert read_manifest(dataset).content_hash == content


@pytest.mark.slow
def test_a_later_shard_is_labelled_by_the_next_call(dataset, episodes):
    told = Told()
    label_dataset(dataset, num_workers=1, progress=told).check()
    with DatasetWriter(dataset, config=None) as writer:
        writer.append([replace(episodes[1], episode_id="later", seed=9)])
    label_dataset(dataset, progress=told).check()
    assert told.totals == [2, 1]
    verify(dataset).check()


def test_what_cannot_be_labelled_says_what_to_do(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"selects no task of .*libero_goal/8"):
        label_dataset(dataset, tasks="libero_10")
    compact(dataset, tmp_path / "small")
    result = CliRunner().invoke(app, ["dataset", "label", str(tmp_path / "small")])
    assert "dataset hydrate" in str(result.exception or result.output)


@pytest.mark.slow
def test_the_command_names_causes(dataset):
    result = CliRunner().invoke(app, ["dataset", "label", str(dataset), "--workers", "1"])
    assert result.exit_code == 0
    assert "2 episodes, 1 of them failed" in result.output
    assert "timeout" in result.output
