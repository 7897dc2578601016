from dataclasses import replace

import numpy as np
import pytest

from rl_datagen.config import SimConfig
from rl_datagen.demos import ReplayPolicy, load_human_demonstration
from rl_datagen.demos.human import replay
from rl_datagen.sim import load_scene
from rl_datagen.tasks import TASKS, get_task


@pytest.mark.parametrize("task", TASKS[::13], ids=str)
def test_every_suite_has_its_demonstrations(task):
    demonstration = load_human_demonstration(task)
    assert demonstration.actions.shape[1] == 7
    assert np.abs(demonstration.actions).max() <= 1
    assert demonstration.num_settle_steps == 50


def test_a_replay_holds_still_after_its_last_action():
    policy = ReplayPolicy(np.full((2, 7), 0.5, np.float32))
    policy.start(0, None, 0)
    actions = [policy.act({}, [0])[0, 0].tolist() for _ in range(3)]
    assert actions == [[0.5] * 7, [0.5] * 7, [0.0] * 6 + [0.5]]


@pytest.mark.sim
def test_a_demonstration_finds_the_fixture_poses_its_recording_lacks():
    """With the poses of shipped state 0 the hand misses this cabinet's handle."""
    scene = load_scene(get_task("libero_goal/3"))
    demonstration = load_human_demonstration(scene.task)
    episode = replay(demonstration, scene, SimConfig())
    assert episode.success
    assert episode.source == "human"
    assert len(episode) <= len(demonstration.actions)
    assert not np.array_equal(episode.fixture_poses, scene.shipped_state(0).fixture_poses)
    np.testing.assert_array_equal(episode.action, demonstration.actions[: len(episode)])


@pytest.mark.sim
def test_a_recording_that_was_cut_at_its_success_holds_still_until_it_succeeds():
    scene = load_scene(get_task("libero_object/0"))
    human = load_human_demonstration(scene.task)
    whole = replay(human, scene, SimConfig())
    cut = replace(human, actions=human.actions[: len(whole) - 1])
    assert not replay(cut, scene, SimConfig()).success
    held = replace(cut, num_hold_steps=20)
    episode = replay(held, scene, SimConfig())
    assert episode.success
    assert len(cut.actions) < len(episode) <= len(cut.actions) + 20
    assert held.success(scene)[len(episode) - 1]
    assert len(held.success(scene)) == len(cut.actions) + 20
