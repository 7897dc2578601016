"""An expert in one process: no env runners, no learner actors."""

import pytest
import torch

from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.campaign.run import bundles
from rl_datagen.config import CampaignConfig, load_config
from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_policy
from tests.toy import toy_config

SETTINGS = {"num_critic_warmup_iterations": 0, "num_iterations": 2}


def weights(folder):
    return load_policy(folder)[0].state_dict()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
def test_it_samples_learns_resumes_and_repeats(toy_ray, one_process, expert_dir, tmp_path):
    algo = one_process.algo.model_copy(update=SETTINGS)
    config = one_process.model_copy(update={"algo": algo})
    whole, rows = tmp_path / "whole", []
    fine_tune(config, expert_dir, whole, report=lambda _, row: rows.append(row), env="toy")
    assert [row["episodes_in_batch"] for row in rows] == [21, 21]
    assert rows[0]["policy_loss"] is not None  # no iteration is spent on the critic alone
    torch.manual_seed(123)  # whatever else the process draws
    fine_tune(config, expert_dir, tmp_path / "again", env="toy")
    before = weights(expert_dir)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(tmp_path / "again")[name], rtol=0, atol=0)
    assert any(not torch.equal(v, before[n]) for n, v in weights(whole).items())

    class Stop(Exception):  # noqa: N818
        pass

    def stop(number, row):
        raise Stop

    with pytest.raises(Stop):
        fine_tune(config, expert_dir, tmp_path / "cut", report=stop, env="toy")
    fine_tune(config, expert_dir, tmp_path / "cut", env="toy")
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(tmp_path / "cut")[name], rtol=0, atol=0)


def test_streaming_needs_env_runners():
    with pytest.raises(UserError, match="num_env_runners=0"):
        toy_config("algo.mode=streaming", "algo.num_env_runners=0")


def test_a_trial_of_a_campaign_books_one_core():
    config = load_config(["algo.num_env_runners=0"], model=CampaignConfig)
    assert bundles(config) == [{"CPU": 1}]
