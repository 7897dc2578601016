"""What a worker does with a shard, on real LIBERO."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rl_datagen.config import CollectionConfig, SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.files import Target
from rl_datagen.data.normalization import NormStats
from rl_datagen.demos.sources import DemonstrationSource
from rl_datagen.jobs.collect import ShardUnit, collect_shard
from rl_datagen.jobs.stored import Experts
from rl_datagen.policy import make_policy, save_expert
from rl_datagen.tasks import get_task
from tests.toy import toy_config

pytestmark = pytest.mark.sim
TASK = get_task("libero_object/0")
NOWHERE = Target(Path("/nowhere"), "")


def unit(actor=None, shard=0, **settings):
    config = CollectionConfig(source="human", num_episodes=1)
    config = config.model_copy(update=settings)
    return ShardUnit(config, TASK, shard, actor or DemonstrationSource(TASK, None), NOWHERE)


def collect(unit):
    """Returns the shard's episodes, their attempts, and what was counted."""
    counts = Counter()
    try:
        new = collect_shard(unit, lambda done, **found: counts.update(found))
    except UserError as error:
        return str(error), None, counts
    return new.trajectories, new.num_attempts, counts


@pytest.fixture(scope="module")
def human():
    (episode,), attempts, _ = collect(unit())
    assert attempts == 1
    return episode


def test_human_demonstrations_are_replayed_in_their_order(human):
    assert (human.source, human.success) == ("human", True)
    short = unit(num_episodes=2)
    message, _, counts = collect(short)
    assert "Only 1 of 1 human demonstrations of libero_object/0" in message
    assert counts == {"attempts": 1, "successes": 1, "env_steps": len(human)}


@pytest.mark.slow
def test_shards_of_amplified_episodes_differ_and_are_the_same_again():
    settings = {"source": "amplified", "num_episodes": 2, "num_episodes_per_shard": 1}
    settings["max_attempts_per_episode"] = 2
    (first,), (second,) = (collect(unit(shard=n, **settings))[0] for n in range(2))
    assert first.source == second.source == "amplified"
    assert first.success
    assert first.seed != second.seed
    assert first.init_state_index is None
    assert collect(unit(shard=1, **settings))[0] == [second]


def test_an_expert_acts_and_too_few_successes_are_a_sentence(human, tmp_path):
    config = toy_config(f"task={TASK.id}", "name=raw")
    stats = NormStats.from_trajectories([human])
    save_expert(tmp_path / "raw", make_policy(config.policy, stats), config, stats, {})
    expert = Experts(str(tmp_path / "raw"), "outputs").read(TASK)
    settings = {"source": "experts", "sim": SimConfig(max_episode_steps=8)}
    attempt = unit(expert, max_attempts_per_episode=3, **settings)
    message, _, counts = collect(attempt)
    assert "Only 0 of 3 diffusion_rl episodes of libero_object/0" in message
    assert counts["env_steps"] == 24
    damaged = dataclasses.replace(expert, files={**expert.files, "weights.safetensors": b"no"})
    assert "cannot be read as safetensors" in collect(unit(damaged, **settings))[0]


@pytest.mark.parametrize(
    ("kind", "actions", "source"),
    [
        ("gaussian", "mean", "gaussian_rl"),
        ("gaussian", "sampled", "gaussian_rl_sampled"),
        ("diffusion", "sampled", "diffusion_rl"),
    ],
)
def test_gaussian_experts_sample_if_told_to(human, tmp_path, monkeypatch, kind, actions, source):
    config = toy_config(f"task={TASK.id}", "name=raw", kind=kind)
    stats = NormStats.from_trajectories([human])
    save_expert(tmp_path / "raw", make_policy(config.policy, stats), config, stats, {})
    expert = Experts(str(tmp_path / "raw"), "outputs").read(TASK)
    seen = {}

    def gather(policy, scene, *_, source, **others):
        observation = {key: stats.mean[key][None] for key in policy.policy.observation_keys}
        first, second = np.random.default_rng(0).integers(1, 1 << 30, 2).tolist()
        for number, seed in enumerate((first, second)):
            policy.start(number, None, seed)
        seen[source] = [policy.act(observation, [number]) for number in range(2)]
        return [], 0

    monkeypatch.setattr("rl_datagen.jobs.collect.gather_shard", gather)
    collect(unit(expert, source="experts", gaussian_actions=actions))
    ((named, (one, other)),) = seen.items()
    assert named == source
    assert np.array_equal(one, other) == (source != "gaussian_rl_sampled")
