from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo

import rl_datagen as rd
from rl_datagen.core.errors import ConfigError, PolicyError, SimulatorError
from rl_datagen.sim import CAMERAS, LiberoEnv
from rl_datagen.sim.simulator import Simulator

pytestmark = pytest.mark.sim
RELEASE = Path(__file__).parents[2] / "release/libero130"
TASK = "libero_goal/0"  # the scene that other tests of this folder compile, too


@pytest.fixture(scope="module")
def env():
    env = LiberoEnv(TASK, render_mode="rgb_array", num_settle_steps=1, image_size=64)
    yield env
    env.close()


@pytest.mark.filterwarnings("ignore:.*A Box observation space m.*infinity")
def test_gymnasium_finds_nothing_wrong_with_it():
    # Numbers of an observation have no bounds, which the checker warns of.
    check_env(gym.make("rl_datagen/libero_goal-0-v0", num_settle_steps=1, image_size=64).unwrapped)


def test_an_episode_starts_from_a_benchmark_init_state(env):
    first, info = env.reset(options={"init_state_index": 3})
    assert (info["init_state_index"], info["seed"], info["success"]) == (3, -1, False)
    assert info["instruction"] == env.task.instruction
    other, _ = env.reset(options={"init_state_index": 4})
    again, _ = env.reset(options={"init_state_index": np.int64(3)})
    assert env.observation_space.contains(first)
    np.testing.assert_array_equal(first["object_state"], again["object_state"])
    assert not np.array_equal(first["object_state"], other["object_state"])


def test_seeds_decide_newly_drawn_init_states(env):
    def states(seed):
        return [env.reset(seed=seed)[0]["object_state"], env.reset()[0]["object_state"]]

    first, second, other = states(1), states(1), states(2)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_an_episode_starts_where_one_of_a_dataset_did(env):
    episode = rd.Dataset(RELEASE, TASK).episodes[2]
    given = {"init_state": episode.init_state, "fixture_poses": episode.fixture_poses}
    env.reset(options=given)
    np.testing.assert_array_equal(env.unwrapped._simulator.init.sim_state, episode.init_state)


def test_the_released_actions_reach_the_goal_again():
    data = rd.Dataset(RELEASE, TASK)
    episode, actions = data.episodes[0], data.select([0]).array("action")
    env = rd.make(TASK, action_steps=len(actions))
    env.reset(options={"init_state": episode.init_state, "fixture_poses": episode.fixture_poses})
    _, reward, terminated, truncated, info = env.step(actions)
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert info["num_env_steps"] == episode.length
    with pytest.raises(ResetNeeded):
        env.step(actions)


def test_the_time_limit_truncates_inside_a_chunk():
    env = LiberoEnv(TASK, action_steps=4, max_episode_steps=6, num_settle_steps=1)
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    still = np.zeros((4, 7), np.float32)
    assert env.step(still)[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step(still)
    assert (reward, terminated, truncated, info["num_env_steps"]) == (0.0, False, True, 6)
    assert env.metadata["render_fps"] == 5


def test_a_simulator_that_fails_truncates(env, monkeypatch):
    env.reset(seed=0)
    failure = SimulatorError("the physics diverged", task=TASK)
    monkeypatch.setattr(Simulator, "step", lambda *_: (_ for _ in ()).throw(failure))
    _, _, terminated, truncated, info = env.step(np.zeros(7))
    assert (terminated, truncated) == (False, True)
    assert "diverged" in info["error"]


def test_images_are_observed_and_rendered():
    env = LiberoEnv(TASK, mode="pixel", image_size=48, render_mode="rgb_array", camera="wrist")
    observation, _ = env.reset(options={"init_state_index": 0})
    assert env.observation_space.contains(observation)
    assert set(CAMERAS) < set(observation)
    np.testing.assert_array_equal(env.render(), observation["wrist"])
    assert LiberoEnv(TASK).render() is None


def test_a_video_is_recorded(tmp_path):
    env = rd.make(TASK, render_mode="rgb_array", image_size=64, max_episode_steps=5)
    env = RecordVideo(env, str(tmp_path / "videos"))
    env.reset(seed=0)
    while not any(env.step(env.action_space.sample())[2:4]):
        pass
    env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_state_index": 77}, "0 to 49; 77 is none"),
        ({"init_state_index": "3"}, "init_state_index='3' is a number, alone: 0 to 49"),
        ({"init_stat_index": 3}, "Did you mean 'init_state_index'"),
        ({"init_state": np.zeros(3)}, r"shapes \(79,\) and \(\d, 7\), not \(3,\)"),
    ],
)
def test_wrong_options_are_one_paragraph(env, options, message):
    with pytest.raises(ConfigError, match=message):
        env.reset(options=options)


@pytest.mark.parametrize("action", [np.zeros((1, 7)), np.full(7, np.nan), ["a"] * 7])
def test_wrong_actions_are_one_paragraph(env, action):
    env.reset(seed=0)
    with pytest.raises(PolicyError, match=r"is \(7,\) finite numbers, not"):
        env.step(action)


def test_actions_of_a_vector_environment_may_be_single():
    env = rd.make_vec(TASK, 2, num_settle_steps=1, init_state_indices=[0, 1])
    assert isinstance(env, gym.vector.VectorEnv)
    assert env.action_space.shape == (2, 7)
    env.reset(seed=1)
    observation, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    env.close()


@pytest.mark.parametrize("setting", [{"mode": "pixels"}, {"camera": "front"}, {"render_mode": "x"}])
def test_wrong_settings_are_one_paragraph(setting):
    with pytest.raises(ConfigError, match=r"is not known.*Allowed: "):
        LiberoEnv(TASK, **setting)
