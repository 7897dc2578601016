"""DPPO turns a half-good clone into a reliable policy, whatever the kind."""

import pytest

from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.policy import ChunkActor, load_expert, save_expert
from tests.toy import demonstrations, success_rate, toy_config


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        # The clone aims beyond the target, so it takes noise of full size to reach it at all.
        (
            "diffusion",
            ("algo.minibatch_size=2500", "algo.lr=3e-4", "policy.evaluation_temperature=1"),
        ),
        ("gaussian", ("algo.minibatch_size=500", "algo.lr=1e-4")),
    ],
)
def test_dppo_learns_to_reach(toy_ray, tmp_path, kind, settings):
    config = toy_config(
        "warm_start.num_updates=800",
        "algo.num_iterations=8",
        "algo.num_env_runners=1",
        "algo.num_envs_per_env_runner=32",
        "algo.num_episodes_per_iteration=256",
        *settings,
        "algo.target_kl=0.1",
        "algo.bootstrap_at_time_limit=false",
        kind=kind,
    )
    policy, stats, metrics = warm_start(demonstrations(60, spread=1.0, bias=1.3), config)
    save_expert(tmp_path / "warm", policy, config, stats, metrics)
    before = success_rate(ChunkActor(policy), 200)
    assert 0.3 < before < 0.6
    fine_tune(config, tmp_path / "warm", tmp_path / "expert", env="toy")
    after = success_rate(load_expert(tmp_path / "expert"), 200)
    assert after > 0.9
