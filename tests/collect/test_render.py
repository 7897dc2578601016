import dataclasses

import numpy as np
import pytest

from rl_datagen.collect import render_episode
from rl_datagen.config import SimConfig
from rl_datagen.core.errors import DatasetError
from rl_datagen.demos import ReplayPolicy
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task("libero_spatial/3"))  # with fixtures that move between episodes


@pytest.fixture(scope="module")
def trajectory(scene):
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7)).astype(np.float32)
    plan = PlannedEpisode("a", scene.draw_state(5), 0)
    sim = SimConfig(max_episode_steps=6)
    return next(rollout(ReplayPolicy(actions), scene, [plan], source="human", sim=sim))


def test_a_replay_sees_every_step_with_both_cameras(scene, trajectory):
    episode = render_episode(trajectory, scene, 64)
    assert episode.agentview.shape == episode.wrist.shape == (6, 64, 64, 3)
    assert episode.agentview.std() > 10
    assert not np.array_equal(episode.wrist[0], episode.wrist[-1])


def test_a_replay_that_leaves_the_recorded_states_is_refused(scene, trajectory):
    states = trajectory.sim_state.copy()
    states[4, 3] += 1e-12
    with pytest.raises(DatasetError, match="env step 4"):
        render_episode(dataclasses.replace(trajectory, sim_state=states), scene, 64)
