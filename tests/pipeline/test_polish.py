"""What an expert clones of itself."""

import numpy as np
import pytest
import torch

from rl_datagen.data.normalization import NormStats
from rl_datagen.pipeline.polish import choose, num_steps_after_success, varied
from rl_datagen.policy import ChunkActor, make_policy
from tests.toy import demonstrations, toy_config


def attempt(make_trajectory, index, *, length, success=True, rough=0.0):
    rng = np.random.default_rng(index)
    path = np.linspace(0, 0.3, length)[:, None].repeat(3, 1)
    reward = np.zeros(length, np.float32)
    reward[-1] = success
    return make_trajectory(
        index,
        length=length,
        success=success,
        reward=reward,
        ee_pos=path + rough * rng.normal(size=path.shape),
    )


def test_the_quickest_success_of_each_init_state_is_chosen(make_trajectory):
    make = lambda *args, **kw: attempt(make_trajectory, *args, **kw)  # noqa: E731
    attempts = [
        *(make(0, length=40, rough=1e-3), make(1, length=30, rough=1e-3)),
        *(make(2, length=20, success=False), make(3, length=50)),
        *(make(4, length=20, success=False), make(5, length=20, success=False)),
    ]
    assert choose(attempts, 2) == [attempts[1], attempts[3]]


def test_of_equally_long_ones_the_smoother_is_chosen(make_trajectory):
    rough = attempt(make_trajectory, 0, length=30, rough=1e-3)
    smooth = attempt(make_trajectory, 1, length=30, rough=1e-4)
    assert choose([rough, smooth], 2) == [smooth]
    assert choose([smooth, rough], 2) == [smooth]


def test_attempts_go_on_after_success_as_long_as_most_demonstrations_do(make_trajectory):
    def reached(first, length):
        reward = np.zeros(length, np.float32)
        reward[first - 1] = reward[-1] = 1
        return make_trajectory(0, length=length, success=True, reward=reward)

    assert num_steps_after_success([reached(20, 43), reached(30, 53), reached(40, 41)]) == 23
    assert num_steps_after_success([reached(20, 20)]) == 0
    assert num_steps_after_success([]) == 0


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_attempts_differ_though_the_policy_has_one_answer(kind):
    torch.manual_seed(0)
    stats = NormStats.from_trajectories(demonstrations(4))
    policy = make_policy(toy_config(kind=kind).policy, stats)
    rows = {"proprio": np.zeros((1, 8), np.float32), "object_state": np.zeros((1, 3), np.float32)}

    def answers(actor):
        for seed in (1, 2):
            actor.start(0, None, seed)
            yield actor.act(rows, [0])

    assert not np.allclose(*answers(varied(policy)))
    np.testing.assert_array_equal(*answers(ChunkActor(policy)))
