import numpy as np
import pytest

from rl_datagen.core.errors import SimulatorError
from rl_datagen.sim import Episode, InitialState


class Scripted:
    """A simulator whose goal holds after the env steps that a script says."""

    def __init__(self, *success):
        self.script, self.step_number = success, 0

    def reset(self, init, num_settle_steps):
        self.init, self.num_settle_steps = init, num_settle_steps

    def step(self, action):
        self.step_number += 1
        if np.isnan(action).any():
            raise SimulatorError("not finite", task="libero_goal/0")
        return self.step_number in self.script

    def sim_state(self):
        return np.array([self.step_number])

    def observe(self):
        return {"proprio": np.zeros(8)}

    def robot_state(self):
        return {"ee_pos": np.zeros(3)}


def run(simulator, **settings):
    init = InitialState(np.zeros(3), np.zeros((0, 7)))
    episode = Episode(simulator, init, **{"max_steps": 8} | settings)
    episode.start(num_settle_steps=2)
    while not episode.is_over:
        episode.run(np.zeros((3, 7)))
    return episode


def test_starts_from_its_init_state():
    episode = run(Scripted())
    assert episode.simulator.init is episode.init
    assert episode.simulator.num_settle_steps == 2


@pytest.mark.parametrize(
    ("success", "settings", "num_steps", "succeeded", "first"),
    [
        ((), {}, 8, False, None),  # the time limit, within a chunk
        ((4, 5), {}, 4, True, 4),
        ((4, 5, 6, 7), {"num_steps_after_success": 2}, 6, True, 4),
        ((4, 5), {"num_steps_after_success": 2}, 6, False, 4),  # it did not last
        ((7, 8), {"num_steps_after_success": 2}, 8, True, 7),
    ],
)
def test_ends_at_success_or_the_time_limit(success, settings, num_steps, succeeded, first):
    episode = run(Scripted(*success), **settings)
    assert episode.num_steps == episode.simulator.step_number == num_steps
    assert (episode.success, episode.num_steps_to_success) == (succeeded, first)
    assert not episode.rows


def test_rows_hold_what_was_before_each_step():
    rows = run(Scripted(5), is_recorded=True).rows
    assert [int(row["sim_state"][0]) for row in rows] == [0, 1, 2, 3, 4]
    assert [row["decision"] for row in rows] == [0, 0, 0, 1, 1]
    assert rows[0].keys() == {"sim_state", "action", "proprio", "ee_pos", "decision"}


def test_a_simulator_error_is_the_callers_to_handle():
    episode = Episode(Scripted(), InitialState(np.zeros(3), np.zeros((0, 7))), 8)
    actions = np.zeros((3, 7))
    actions[1] = np.nan
    with pytest.raises(SimulatorError):
        episode.run(actions)
    assert (episode.num_steps, episode.success) == (2, False)
