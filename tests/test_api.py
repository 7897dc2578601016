"""What ``import rl_datagen as rd`` offers."""

import inspect
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import rl_datagen as rd
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.tasks import TASKS
from rl_datagen.tasks.gym_ids import gym_id

EXPERT = "release/libero_object/3"


def in_a_new_process(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_every_name_is_there_and_says_what_it_is():
    for name in rd.__all__:
        assert getattr(rd, name) is not None
        assert name in dir(rd)
        assert inspect.getdoc(getattr(rd, name))
    with pytest.raises(AttributeError, match="no attribute 'tasksy'"):
        rd.tasksy  # noqa: B018


def test_an_import_loads_nothing_heavy():
    heavy = ("pyarrow", "torch", "ray", "mujoco", "libero", "numba")
    code = (
        "import sys, rl_datagen as rd\n"
        "assert len(rd.tasks()) == 130 and rd.tasks('libero_goal/3')[0].id == 'libero_goal/3'\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert in_a_new_process(code) == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Dataset", "make", "load_expert", "rollout"])
def test_no_name_needs_ray(name):
    code = f"import sys, rl_datagen as rd\nrd.{name}\nprint('ray' in sys.modules)"
    assert in_a_new_process(code) == "False"


@pytest.mark.parametrize("first", ["rl_datagen", "gymnasium"])
def test_gymnasium_knows_every_task_whichever_is_imported_first(first):
    second = {"rl_datagen": "gymnasium", "gymnasium": "rl_datagen"}[first]
    code = (
        f"import {first}, {second}\n"
        "print(sum(name.startswith('rl_datagen/') for name in gymnasium.registry))"
    )
    assert in_a_new_process(code) == "130"


def test_packages_of_the_same_name_are_still_packages():
    assert rd.tasks.TASKS is TASKS
    assert rd.tasks("libero_goal/1-3") == rd.tasks.select_tasks("libero_goal/1-3")
    assert list(inspect.signature(rd.rollout).parameters)[:2] == ["policy", "task"]


def test_ids_are_the_tasks():
    for task in TASKS:
        assert gym.spec(gym_id(task)).kwargs == {"task": task.id}
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `libero_goal-8`"):
        gym.make("rl_datagen/libero_gaol-8-v0")
    with pytest.raises(ConfigError, match=r"Unknown task 'libero_gaol/8'.*Did you mean"):
        rd.make("libero_gaol/8")


def test_an_expert_is_found_by_name_or_refused(tmp_path):
    expert = rd.load_expert(EXPERT)
    assert (expert.task, expert.image_size) == ("libero_object/3", None)
    with pytest.raises(UserError, match="is not an expert folder"):
        rd.load_expert(tmp_path)
    with pytest.raises(UserError, match="is not an expert folder"):
        rd.load_expert("release/libero_gaol/8")


@pytest.mark.sim
def test_an_expert_acts_in_an_environment_as_in_a_rollout():
    expert = rd.load_expert(EXPERT)
    env = rd.make(expert.task, action_steps=expert.action_steps)
    observation, info = env.reset(options={"init_state_index": 5})
    expert.reset(seed=0)
    done = False
    while not done:
        observation, _, terminated, truncated, info = env.step(expert.predict(observation))
        done = terminated or truncated
    result = rd.rollout(expert, num_episodes=1, init_state_indices=[5])
    assert info["success"]
    assert result.success.tolist() == [True]
    assert result.success_rate == 1
    assert result.trajectories[0].init_state_index == 5
    assert "1 of 1 reached the goal" in repr(result)
    with pytest.raises(ConfigError, match="trained for libero_object/3, not for libero_goal/0"):
        rd.rollout(expert, "libero_goal/0")
    with pytest.raises(ConfigError, match="num_episodes=0"):
        rd.rollout(expert, num_episodes=0)


@pytest.mark.sim
def test_an_expert_acts_in_a_vector_environment():
    expert = rd.load_expert(EXPERT)
    env = rd.make_vec("libero_object/3", 2, action_steps=expert.action_steps)
    observation, _ = env.reset(seed=0)
    expert.reset(seed=0)
    actions = expert.predict(observation)
    assert actions.shape == env.action_space.shape
    rows = [{key: value[i] for key, value in observation.items()} for i in range(2)]
    expert.reset(seed=0)
    np.testing.assert_allclose(expert.predict(rows[0]), actions[0], atol=1e-5)
    env.close()
    with pytest.raises(UserError, match="looks at object_state, which the observation lacks"):
        expert.predict({"proprio": observation["proprio"]})


class Still:
    """A policy of one's own."""

    action_steps = 10

    def start(self, episode, simulator, seed):
        pass

    def act(self, observation, episodes):
        return np.zeros((len(episodes), 10, 7))


@pytest.mark.sim
def test_any_policy_is_rolled_out():
    result = rd.rollout(Still(), "libero_object/3", num_episodes=2, max_episode_steps=20)
    assert result.success.tolist() == [False, False]
    assert [len(episode) for episode in result.trajectories] == [20, 20]
    states = [episode.init_state for episode in result.trajectories]
    assert not np.array_equal(*states)
    with pytest.raises(ConfigError, match="does not say its task"):
        rd.rollout(Still())
