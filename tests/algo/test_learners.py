"""Several learners do what one does."""

import pytest
import torch

from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_policy
from tests.toy import demonstrations

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray and RLlib warn about their own interior
]


def changed(config, **algo):
    return config.model_copy(update={"algo": config.algo.model_copy(update=algo)})


def run(config, expert_dir, output, **settings):
    rows = []
    fine_tune(
        changed(config, **settings),
        expert_dir,
        output,
        report=lambda _, row: rows.append(row),
        env="toy",
    )
    return rows, load_policy(output)[0].state_dict()


@pytest.mark.slow
def test_two_learners_do_what_one_does(toy_ray, small_config, expert_dir, tmp_path):
    settings = {
        "num_iterations": 2,
        "num_critic_warmup_iterations": 1,
        "target_kl": 1e-3,
        "lr": 1e-3,
    }
    one, weights = run(small_config, expert_dir, tmp_path / "one", **settings)
    two, shared = run(small_config, expert_dir, tmp_path / "two", num_learners=2, **settings)
    for alone, together in zip(one, two, strict=True):
        for name in ("success_rate", "vf_loss", "explained_variance", "lr", "episodes_in_batch"):
            assert together[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-5), name
    for name in ("policy_loss", "approx_kl", "clip_fraction"):
        # The same number of minibatches before the KL limit, or these means would differ.
        assert two[1][name] == pytest.approx(one[1][name], rel=1e-2, abs=1e-5), name
    for name, value in weights.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_learners(toy_ray, small_config, expert_dir, tmp_path):
    class Stop(Exception):  # noqa: N818
        pass

    def stop(number, row):
        if number == 2:
            raise Stop

    config = changed(small_config, num_learners=1)
    with pytest.raises(Stop):
        fine_tune(config, expert_dir, tmp_path, report=stop, env="toy")
    rows, _ = run(small_config, expert_dir, tmp_path)
    assert [row["iteration"] for row in rows] == [3]


@pytest.mark.slow
def test_cloning_pulls_towards_the_demonstrations(toy_ray, one_process, expert_dir, tmp_path):
    settings = {"num_iterations": 1, "num_critic_warmup_iterations": 0}
    with pytest.raises(UserError, match="clones demonstrations"):
        run(one_process, expert_dir, tmp_path / "none", bc_loss_coeff=1.0, **settings)
    config = changed(one_process, bc_loss_coeff=1.0, num_epochs=20, lr=1e-3, **settings)
    losses = []
    for folder, episodes in (("a", demonstrations(10)), ("b", demonstrations(10))):
        result = fine_tune(
            config, expert_dir, tmp_path / folder, demonstrations=episodes, env="toy"
        )
        losses.append(result["last"]["bc_loss"])
    assert losses[0] == losses[1]
    assert 0 < losses[0] < 1
