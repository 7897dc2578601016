"""What takes all tasks of a dataset by default takes perturbed ones too."""

import dataclasses

import numpy as np
import pytest

from rl_datagen.config import RenderConfig, SimConfig
from rl_datagen.data.compact import compact
from rl_datagen.data.dataset import rendered_episodes
from rl_datagen.data.frames import Dataset
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy
from rl_datagen.export import export_hdf5
from rl_datagen.jobs.hydrate import hydrate
from rl_datagen.jobs.label import label_dataset
from rl_datagen.jobs.render import render_dataset
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from rl_datagen.vla.folder import describe

pytestmark = pytest.mark.sim
TASK = "libero_goal_swap/3"


@pytest.fixture(scope="module")
def episode():
    scene = load_scene(get_task(TASK))
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7)).astype(np.float32)
    plans = [PlannedEpisode("e", scene.draw_state(0), 0)]
    sim = SimConfig(max_episode_steps=6)
    (episode,) = rollout(ReplayPolicy(actions), scene, plans, source="human", sim=sim)
    return episode


def write(path, episode):
    with DatasetWriter(path, config={"collect": {"sim": {"backend": "exact"}}}) as writer:
        writer.append([episode])
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, episode):
    # Of an episode that says it is a success: exports leave others out.
    path = tmp_path_factory.mktemp("data") / "d"
    write(path, dataclasses.replace(episode, success=True))
    render_dataset(path, RenderConfig(num_episodes=None, image_size=64), num_workers=1)
    return path


def test_rendering(dataset):
    assert rendered_episodes(dataset) == ["e"]


def test_labels(dataset):
    label_dataset(dataset, num_workers=1).check()
    assert Dataset(dataset).labels(0).episode_id == "e"


def test_frames(dataset):
    assert len(Dataset(dataset)) == 6


def test_a_vla_learns_from_them(dataset):
    assert describe(dataset, "all")["tasks"] == [TASK]


def test_exports(dataset, tmp_path):
    assert export_hdf5(dataset, tmp_path / "out", num_workers=1).num_episodes == 1


def test_the_compact_form_and_back(episode, tmp_path):
    compact(write(tmp_path / "d", episode), tmp_path / "small")
    hydrate(tmp_path / "small", tmp_path / "whole", num_workers=1).check()
    assert len(Dataset(tmp_path / "whole")) == 6
