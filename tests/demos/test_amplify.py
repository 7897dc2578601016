import numpy as np
import pytest

from rl_datagen.config import SimConfig
from rl_datagen.demos import AmplifiedPolicy, analyse, load_human_demonstration
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task("libero_object/0"))


@pytest.fixture(scope="module")
def segments(scene):
    return analyse(load_human_demonstration(scene.task), scene)


def run(scene, segments, plans, **settings):
    policy = AmplifiedPolicy([segments], action_noise=0.06)
    return list(rollout(policy, scene, plans, source="amplified", sim=SimConfig(), **settings))


def test_one_demonstration_succeeds_from_shipped_and_drawn_init_states(scene, segments):
    initial = [scene.shipped_state(index) for index in range(3)]
    initial += [scene.draw_state(seed) for seed in range(3)]
    plans = [PlannedEpisode(str(i), state, i) for i, state in enumerate(initial)]
    successes = [trajectory.success for trajectory in run(scene, segments, plans)]
    assert sum(successes) >= 5


def test_the_same_seed_gives_the_same_episode(scene, segments):
    plan = PlannedEpisode("a", scene.shipped_state(7), 3)
    first, second = (run(scene, segments, [plan], num_simulators=1)[0] for _ in range(2))
    assert first == second
    other = run(scene, segments, [PlannedEpisode("a", scene.shipped_state(7), 4)])[0]
    assert not np.array_equal(other.action[:10], first.action[:10])


def test_episodes_from_one_init_state_differ_in_pace_and_path(scene, segments):
    plans = [PlannedEpisode(str(seed), scene.shipped_state(0), seed) for seed in range(6)]
    episodes = run(scene, segments, plans)
    assert len({len(episode) for episode in episodes}) >= 3
    middle = np.array([episode.ee_pos[20] for episode in episodes])
    assert middle.std(axis=0).max() > 0.005
