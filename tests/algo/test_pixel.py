"""A pixel policy from demonstrations through DPPO on a real task."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rl_datagen.algo.bc import make_chunks, warm_start
from rl_datagen.algo.env_runner import make_libero_env
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.config import load_config
from rl_datagen.demos import ReplayPolicy
from rl_datagen.policy import load_expert, save_expert
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene, render
from rl_datagen.tasks import get_task

pytestmark = [pytest.mark.sim, pytest.mark.slow, pytest.mark.ray]

EXPERT = Path(__file__).parents[2] / "configs" / "expert_pixel.yaml"


@pytest.fixture(scope="module")
def config():
    """The paper's policy, with tiny images and a tiny budget."""
    return load_config(
        [
            str(EXPERT),
            "policy.image_size=48",
            "sim.max_episode_steps=24",
            "warm_start.num_updates=4",
            "warm_start.train_batch_size=4",
            "algo.num_iterations=3",
            "algo.num_episodes_per_iteration=2",
            "algo.num_env_runners=1",
            "algo.num_envs_per_env_runner=2",
            "algo.minibatch_size=15",
            "algo.num_epochs=1",
            "algo.num_critic_epochs=1",
            "algo.num_critic_warmup_iterations=1",
            "algo.evaluation_interval=0",
            "algo.target_kl=1000",
            "algo.precision=float32",
            "algo.num_gpus_per_learner=0",
        ]
    )


@pytest.fixture(scope="module")
def scene(config):
    return load_scene(get_task(config.task))


@pytest.fixture(scope="module")
def demonstrations(config, scene):
    actions = np.random.default_rng(0).uniform(-1, 1, (24, 7)).astype(np.float32)
    plans = [PlannedEpisode(f"e{i}", scene.draw_state(i), 0) for i in range(2)]
    return list(rollout(ReplayPolicy(actions), scene, plans, source="human", sim=config.sim))


@pytest.fixture
def count(monkeypatch, tmp_path):
    """Counts the images of this process and of Ray's."""
    path = tmp_path / "renders"
    path.touch()
    monkeypatch.setattr(render, "render", counted(render.render, path))
    return lambda: path.stat().st_size


def counted(draw, path):
    def counting(scene, cameras, *arguments):
        with path.open("ab") as file:
            file.write(b"." * len(cameras))
        return draw(scene, cameras, *arguments)

    return counting


def test_cloning_looks_at_decisions_only(config, demonstrations, count):
    keys = ("proprio", "agentview", "wrist")
    chunks = make_chunks(demonstrations, keys, config)
    # Env steps 0, 8, 16 of the first episode; 0 and 1, 9, 17 of the second.
    assert chunks.observation["wrist"].shape == (7, 48, 48, 3)
    assert chunks.observation["wrist"].dtype == torch.uint8
    np.testing.assert_array_equal(chunks.action[1], demonstrations[0].action[8:16])
    np.testing.assert_array_equal(chunks.action[4], demonstrations[1].action[1:9])
    assert count() == 2 * 7
    assert chunks.observation["agentview"].float().std() > 10


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
def test_three_iterations_with_images_at_decisions_only(
    toy_ray, config, scene, demonstrations, count, tmp_path
):
    from ray import tune

    counter, make = tmp_path / "renders", make_libero_env

    def make_counted(context):
        from rl_datagen.sim import render

        def counting(scene, cameras, *arguments, draw=render.render):
            with counter.open("ab") as file:
                file.write(b"." * len(cameras))
            return draw(scene, cameras, *arguments)

        render.render = counting
        return make(context)

    tune.register_env("counted", make_counted)
    policy, stats, metrics = warm_start(demonstrations, config)
    assert np.isfinite(metrics["train_loss"])
    save_expert(tmp_path / "warm", policy, config, stats, metrics)
    cloned = count()
    rows = []
    fine_tune(
        config,
        tmp_path / "warm",
        tmp_path / "expert",
        report=lambda n, row: rows.append(row),
        env="counted",
    )
    assert len(rows) == 3
    for row in rows:
        assert np.isfinite(row["vf_loss"])
        assert row["policy_loss"] is None or np.isfinite(row["policy_loss"])
    assert rows[-1]["clip_fraction"] is not None
    num_decisions = sum(-(-row["num_env_steps"] // 8) for row in rows)
    assert count() - cloned == 2 * (num_decisions + 6)  # cameras; 6 episodes end with a last look
    before = count()
    actor = load_expert(tmp_path / "expert", task=config.task)
    plan = PlannedEpisode("a", scene.shipped_state(0), 0)
    (episode,) = rollout(actor, scene, [plan], source="diffusion_rl", sim=config.sim)
    assert len(episode) == 24
    assert count() - before == 2 * 3
