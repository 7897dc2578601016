import numpy as np
import pytest

from rl_datagen.sim import LiberoVectorEnv

pytestmark = pytest.mark.sim


@pytest.fixture
def make(drawer_task):
    envs = []

    def make(num_envs=2, action_steps=3, **settings):
        settings = {"num_settle_steps": 1, "max_episode_steps": 6} | settings
        envs.append(LiberoVectorEnv(drawer_task, num_envs, action_steps, **settings))
        return envs[-1]

    yield make
    for env in envs:
        env.close()


@pytest.mark.slow
def test_spaces_hold_what_is_returned(make):
    env = make()
    observation, infos = env.reset(seed=1)
    assert infos == {}
    assert env.observation_space.contains(observation)
    assert observation["object_state"].shape == (2, env.scene.state_layout.size)
    observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    assert (reward.shape, terminated.dtype, truncated.dtype) == ((2,), bool, bool)


def test_seeds_decide_the_drawn_states_and_threads_do_not(make):
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 3, 3, 7)).astype(np.float32)

    def rollout(seed, num_threads):
        env = make(num_envs=3, num_threads=num_threads)
        seen = [env.reset(seed=seed)[0]["object_state"]]
        seen += [env.step(action)[0]["object_state"] for action in actions]
        return np.array(seen)

    reference = rollout(5, 1)
    np.testing.assert_array_equal(reference, rollout(5, 3))
    assert not np.array_equal(reference, rollout(6, 1))


def test_time_limit_truncates_within_a_chunk_and_the_next_step_resets(make):
    env = make(action_steps=4, init_state_indices=[3, 8])
    start, _ = env.reset()
    still = np.zeros((2, 4, 7))
    env.step(still)
    _, _, _, truncated, infos = env.step(still)  # 2 of its 4 env steps are left
    assert truncated.all()
    assert infos["num_env_steps"].tolist() == [6, 6]
    assert infos["init_state_index"].tolist() == [3, 8]
    assert not infos["success"].any()
    again, _, _, truncated, infos = env.step(still)
    assert not truncated.any()
    assert infos == {}
    np.testing.assert_array_equal(again["proprio"], start["proprio"])


def test_reaching_the_goal_terminates_with_reward_one(make, monkeypatch):
    env = make()
    env.reset()
    simulator = env._slots[1].simulator
    step, calls = type(simulator)._step, []

    def reached_at_second_step(self, action):
        step(self, action)
        calls.append(self)
        return self is simulator and calls.count(self) == 2

    monkeypatch.setattr(type(simulator), "_step", reached_at_second_step)
    _, reward, terminated, truncated, infos = env.step(np.zeros((2, 3, 7)))
    assert reward.tolist() == [0, 1]
    assert terminated.tolist() == [False, True]
    assert not truncated.any()
    assert infos["num_env_steps"][1] == 2  # the chunk's last action was not executed
    assert infos["_success"].tolist() == [False, True]


def test_a_failing_simulator_ends_only_its_own_episode(make):
    env = make(init_state_indices=[4, 6])
    env.reset()
    actions = np.zeros((2, 3, 7))
    actions[1, 2] = np.nan
    _, reward, terminated, truncated, infos = env.step(actions)
    assert truncated.tolist() == [False, True]
    assert not terminated.any()
    assert not reward.any()
    assert "not finite" in infos["error"][1]
    assert "init_state_index=6" in infos["error"][1]
    assert env.num_errors == 1
    observation, _, _, truncated, infos = env.step(np.zeros((2, 3, 7)))
    assert np.isfinite(observation["proprio"]).all()
    assert truncated.tolist() == [True, False]  # time limit of the healthy one
    assert infos["error"][0] == ""


def test_a_failed_start_is_an_episode_of_no_steps(make, monkeypatch):
    env = make(init_state_indices=[4, 6, 8, 9])
    simulator = env._slots[1].simulator
    reset, attempts = type(simulator)._reset, []

    def fails_twice(self, init):
        attempts.append(self)
        if self is simulator and attempts.count(self) <= 2:
            raise self.error("cannot start")
        reset(self, init)

    monkeypatch.setattr(type(simulator), "_reset", fails_twice)
    env.reset()
    reports = []
    for _ in range(3):  # of the reset's failure, of the next start's, and a start that works
        _, _, terminated, truncated, infos = env.step(np.zeros((2, 1, 7)))
        assert not terminated.any()
        reports.append((truncated.tolist(), infos.get("init_state_index", [-1] * 2)[1]))
        assert not infos or infos["num_env_steps"][1] == 0
    assert reports == [([False, True], 6), ([False, True], 8), ([False, False], -1)]
    assert env.num_errors == 2
    assert env._slots[1].episode.init.index == 9


def test_a_batch_is_complete_and_then_idle(make):
    env = make(num_envs=2, action_steps=6, init_state_indices=[0, 1, 2], num_episodes=3)
    env.reset()
    finished = []
    for _ in range(6):
        _, _, terminated, truncated, infos = env.step(np.zeros((2, 6, 7)))
        finished += infos["init_state_index"][terminated | truncated].tolist() if infos else []
    assert sorted(finished) == [0, 1, 2]
    env.reset()
    assert env._slots[1].state.name == "RUNNING"


def test_more_simulators_than_episodes_are_idle_from_the_start(make):
    env = make(num_envs=2, num_episodes=1)
    observation, _ = env.reset()
    assert not observation["proprio"][1].any()
    assert [slot.state.name for slot in env._slots] == ["RUNNING", "IDLE"]
