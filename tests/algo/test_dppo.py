import json
import re
import shutil

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from rl_datagen.algo import fine_tune as module
from rl_datagen.algo.dppo import to_rllib
from rl_datagen.algo.env_runner import batch_sizes
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.algo.learner import actor_lr
from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_policy
from tests.toy import toy_config

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray and RLlib warn about their own interior
]


def changed(config, **algo):
    return config.model_copy(update={"algo": config.algo.model_copy(update=algo)})


def weights(folder):
    return load_policy(folder)[0].state_dict()


def assert_same(one, other):
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0)


def optimizers(folder):
    """The state of both optimisers in the newest checkpoint."""
    path = max((folder / "checkpoints").glob("*/state.pt"))
    state = torch.load(path, weights_only=False)["learner_group"]["learner"]["optimizer"]
    assert len(state) == 2
    return [state[name]["state"]["state"] for name in sorted(state)]


def without_time(row):
    return {name: value for name, value in row.items() if not re.search("second|idle", name)}


@pytest.fixture(scope="module")
def uninterrupted(toy_ray, small_config, expert_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted")
    rows = []
    fine_tune(small_config, expert_dir, output, report=lambda n, row: rows.append(row), env="toy")
    return output, rows


@pytest.mark.slow
def test_iterations_are_complete_batches(uninterrupted):
    _, rows = uninterrupted
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["episodes_in_batch"] == 21
        assert row["init_states_in_batch"] == 21
        assert 21 <= row["num_env_steps"] <= 21 * 20
        assert 0 <= row["success_rate"] <= 1


def test_the_learning_curve_and_the_expert_are_on_disk(uninterrupted, small_config):
    output, rows = uninterrupted
    assert json.loads((output / "learning_curve.json").read_text()) == rows
    _, config, _ = load_policy(output)
    assert config == small_config
    assert sorted(path.name for path in (output / "checkpoints").iterdir()) == ["00002", "00003"]


def test_the_actor_is_frozen_while_the_critic_warms_up(uninterrupted, expert_dir, small_config):
    output, rows = uninterrupted
    assert rows[0]["policy_loss"] is None
    assert rows[1]["policy_loss"] is not None
    assert any(
        not torch.equal(value, weights(output)[name]) for name, value in weights(expert_dir).items()
    )


def test_a_run_of_warm_ups_returns_the_same_policy(toy_ray, one_process, expert_dir, tmp_path):
    config = changed(one_process, num_iterations=1, num_critic_warmup_iterations=1)
    fine_tune(config, expert_dir, tmp_path, env="toy")
    assert_same(weights(expert_dir), weights(tmp_path))


@pytest.mark.slow
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    uninterrupted, toy_ray, small_config, one_process, expert_dir, tmp_path
):
    output, rows = uninterrupted

    class Stop(Exception):  # noqa: N818
        pass

    def stop(number, row):
        if number == 2:
            raise Stop

    with pytest.raises(Stop):
        fine_tune(small_config, expert_dir, tmp_path, report=stop, env="toy")
    assert not (tmp_path / "weights.safetensors").exists()
    resumed = []
    fine_tune(
        small_config, expert_dir, tmp_path, report=lambda n, row: resumed.append(row), env="toy"
    )
    assert [row["iteration"] for row in resumed] == [3]
    assert without_time(resumed[0]) == without_time(rows[2])
    assert_same(weights(output), weights(tmp_path))
    for one, other in zip(*(optimizers(folder) for folder in (output, tmp_path)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    # Called once more, it has nothing to do; asked for more, it resumes.
    assert fine_tune(small_config, expert_dir, tmp_path, env="toy")["num_iterations"] == 3
    longer = changed(one_process, num_iterations=4)
    last = fine_tune(longer, expert_dir, tmp_path, env="toy")["last"]
    assert last["iteration"] == 4
    assert last["lr"] == pytest.approx(actor_lr(longer.algo, 3))


def test_a_run_that_goes_on_may_discount_more(
    uninterrupted, toy_ray, one_process, expert_dir, tmp_path
):
    last = {}
    for gamma in (one_process.algo.gamma, 0.5):
        output = tmp_path / str(gamma)
        shutil.copytree(uninterrupted[0], output)
        longer = changed(one_process, num_iterations=4, gamma=gamma)
        last[gamma] = fine_tune(longer, expert_dir, output, env="toy")["last"]
        assert last[gamma]["gamma"] == gamma
    one, other = last.values()
    assert one["episode_len_mean"] == other["episode_len_mean"]  # the same policy, sampled alike
    assert one["vf_loss"] != pytest.approx(other["vf_loss"], rel=0.05)


@pytest.mark.slow
def test_ratios_are_one_before_the_first_step(toy_ray, small_config, expert_dir):
    """The log-densities that env runners store are those the learner computes."""
    policy, _, stats = load_policy(expert_dir)
    config = changed(small_config, num_critic_warmup_iterations=0, num_epochs=1, lr=1e-12)
    algo = to_rllib(config, stats, env="toy").build_algo()
    try:
        module._set_weights(algo, policy)
        learner = algo.train()["learners"][DEFAULT_MODULE_ID]
    finally:
        algo.stop()
    assert learner["clip_fraction"] == 0
    assert learner["ratio_mean"] == pytest.approx(1, abs=1e-5)
    assert learner["ratio_max"] == pytest.approx(1, abs=1e-4)
    assert abs(learner["approx_kl"]) < 1e-6


def test_the_kl_limit_ends_an_iteration_early(toy_ray, one_process, expert_dir, tmp_path):
    config = changed(one_process, num_iterations=1, num_critic_warmup_iterations=0, target_kl=1e-6)
    first = fine_tune(config, expert_dir, tmp_path / "a", env="toy")["last"]
    config = changed(config, num_epochs=50)  # would move far without the limit
    second = fine_tune(config, expert_dir, tmp_path / "b", env="toy")["last"]
    assert first["policy_loss"] == second["policy_loss"]


def test_other_policy_settings_than_the_expert_are_refused(small_config, expert_dir, tmp_path):
    policy = small_config.policy.model_copy(update={"num_denoising_steps": 2})
    config = small_config.model_copy(update={"policy": policy})
    with pytest.raises(UserError, match="other policy settings"):
        fine_tune(config, expert_dir, tmp_path, env="toy")


def test_an_expert_of_another_task_is_refused(small_config, expert_dir, tmp_path):
    config = small_config.model_copy(update={"task": "libero_goal/1"})
    with pytest.raises(UserError, match="trained for libero_object/0, not for libero_goal/1"):
        fine_tune(config, expert_dir, tmp_path, env="toy")
    assert list(tmp_path.iterdir()) == []


def test_the_learning_rate_is_annealed_after_the_warm_up(small_config):
    algo = changed(small_config, num_iterations=5, num_critic_warmup_iterations=1, lr=1.0).algo
    rates = [actor_lr(algo, iteration) for iteration in range(7)]
    np.testing.assert_allclose(rates, [1, 1, 0.868198, 0.55, 0.231802, 0.1, 0.1], atol=1e-6)
    constant = algo.model_copy(update={"lr_schedule": "constant"})
    assert {actor_lr(constant, iteration) for iteration in range(7)} == {1.0}


def test_batches_are_even(small_config):
    settings = changed(small_config, num_episodes_per_iteration=10, num_env_runners=3).algo
    assert batch_sizes(settings) == [4, 3, 3]
    assert batch_sizes(settings.model_copy(update={"mode": "streaming"})) == [4, 4, 4]


def test_fewer_episodes_than_simulators_are_refused():
    with pytest.raises(UserError, match="some would never start"):
        toy_config("algo.num_episodes_per_iteration=7", "algo.num_envs_per_env_runner=4")
