import dataclasses

import numpy as np
import pytest

from rl_datagen.config import ShardsConfig, SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.rollout import PlannedEpisode, gather, gather_shard
from rl_datagen.sim import InitialState
from rl_datagen.tasks import get_task


class Counter:
    """A simulator whose state counts env steps and whose goal is a positive action."""

    def reset(self, init, num_settle_steps):
        self.time = 0.0

    def step(self, action):
        self.time += 1
        return action[0] > 0

    def sim_state(self):
        return np.array([self.time])

    def observe(self):
        return {"proprio": np.zeros(8, np.float32), "object_state": np.zeros(3, np.float32)}

    def robot_state(self):
        sizes = {"ee_pos": 3, "ee_quat": 4, "gripper_qpos": 2, "joint_pos": 7}
        return {name: np.zeros(size) for name, size in sizes.items()}


class Scene:
    task = get_task("libero_object/0")

    def simulator(self):
        return Counter()


class Policy:
    """Episodes with an even seed succeed, later ones sooner; the others never do."""

    action_steps = 2

    def start(self, episode, simulator, seed):
        self.seeds = {**getattr(self, "seeds", {}), episode: seed}
        self.calls = {**getattr(self, "calls", {}), episode: 0}

    def act(self, observation, episodes):
        actions = np.full((len(episodes), 2, 7), -1.0)
        for row, episode in enumerate(episodes):
            self.calls[episode] += 1
            if self.seeds[episode] % 2 == 0 and self.calls[episode] > 20 - self.seeds[episode]:
                actions[row, 1] = 1.0
        return actions


def plan(number):
    return PlannedEpisode(f"e{number}", InitialState(np.zeros(1), np.zeros((0, 7))), number)


def run(num_episodes, max_attempts=40, **options):
    return gather(
        Policy(),
        Scene(),
        plan,
        num_episodes=num_episodes,
        max_attempts=max_attempts,
        source="amplified",
        sim=SimConfig(max_episode_steps=60),
        **options,
    )


def test_the_first_successes_in_the_order_of_the_plan_are_kept():
    episodes, attempts = run(6)
    # Attempt 10 ends long before attempt 0, and still comes after it.
    assert [episode.episode_id for episode in episodes] == ["e0", "e2", "e4", "e6", "e8", "e10"]
    assert attempts == 11  # up to the last that was needed; 16 ran
    assert all(episode.success and episode.reward[-1] == 1 for episode in episodes)


def test_failed_attempts_are_kept_on_request_and_do_not_count():
    episodes, attempts = run(6, keep_failed=True)
    assert [episode.episode_id for episode in episodes] == [f"e{n}" for n in range(11)]
    assert [episode.success for episode in episodes] == [True, False] * 5 + [True]
    assert attempts == 11


class Drawing(Scene):
    """A scene with five shipped init states."""

    num_init_states = 5

    def draw_state(self, seed):
        return InitialState(np.array([float(seed)]), np.zeros((0, 7)), None, seed)

    def shipped_state(self, index):
        return InitialState(np.zeros(1), np.zeros((0, 7)), index, None)


def shards(**settings):
    config = ShardsConfig(
        num_episodes=7, num_episodes_per_shard=3, max_attempts_per_episode=20, **settings
    )
    numbers = range(config.num_shards)
    common = {"source": "diffusion_rl", "seed": 0, "sim": SimConfig(max_episode_steps=60)}
    return [gather_shard(Policy(), Drawing(), config, shard, **common)[0] for shard in numbers]


def test_no_two_episodes_of_any_shards_have_init_state_and_seed_in_common():
    made = shards()
    assert [len(episodes) for episodes in made] == [3, 3, 1]
    episodes = [episode for shard in made for episode in shard]
    assert len({episode.seed for episode in episodes}) == 7
    assert len({episode.episode_id for episode in episodes}) == 7
    assert all(e.init_state[0] == e.seed and e.init_state_index is None for e in episodes)
    assert episodes == [episode for shard in shards() for episode in shard]


def test_shipped_init_states_are_taken_in_turn():
    made = shards(init_states="shipped", keep_failed=True)
    for shard, first in zip(made, range(3), strict=True):
        assert [e.init_state_index for e in shard] == [
            (first + 3 * attempt) % 5 for attempt in range(len(shard))
        ]
    assert len({(e.init_state_index, e.seed) for shard in made for e in shard}) == sum(
        map(len, made)
    )


def test_an_episode_ends_at_the_goal_in_the_middle_of_a_chunk():
    episodes, _ = run(1)
    assert len(episodes[0]) == 42
    assert episodes[0].decision.tolist() == [step // 2 for step in range(42)]
    assert episodes[0].sim_state[:, 0].tolist() == list(range(42))


def test_giving_up_says_how_many_succeeded_and_what_to_do():
    with pytest.raises(UserError, match=r"Only 4 of 8 amplified .* max_attempts_per_episode"):
        run(6, max_attempts=8)


def test_episodes_do_not_depend_on_which_others_run_beside_them():
    alone = {episode.episode_id: episode for episode in run(1)[0]}
    beside = {episode.episode_id: episode for episode in run(6)[0]}
    assert alone["e0"] == dataclasses.replace(beside["e0"])
