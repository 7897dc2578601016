"""What a worker does with a shard, on real LIBERO."""

import dataclasses
from types import SimpleNamespace

import pytest

from rl_datagen.collect.experts import Experts
from rl_datagen.collect.unit import Counter, ShardUnit, collect_shard
from rl_datagen.config import CollectionConfig, SimConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.demos.importing import DemonstrationSource
from rl_datagen.policy import make_policy, save_expert
from rl_datagen.tasks import get_task
from tests.toy import toy_config

pytestmark = pytest.mark.sim
TASK = get_task("libero_object/0")


def unit(actor=None, shard=0, **settings):
    counter = Counter()
    handle = SimpleNamespace(add=SimpleNamespace(remote=counter.add), read=counter.read)
    config = CollectionConfig(source="human", num_episodes=1)
    config = config.model_copy(update=settings)
    return ShardUnit(config, TASK, shard, actor or DemonstrationSource(TASK, None), handle)


@pytest.fixture(scope="module")
def human():
    (episode,), attempts = collect_shard(unit())
    assert attempts == 1
    return episode


def test_human_demonstrations_are_replayed_in_their_order(human):
    assert (human.source, human.success) == ("human", True)
    short = unit(num_episodes=2)
    assert "Only 1 of 1 human demonstrations of libero_object/0" in collect_shard(short)
    tally = short.counter.read()
    assert (tally.num_attempts, tally.num_successes, tally.num_steps) == (1, 1, len(human))


def test_shards_of_amplified_episodes_differ_and_are_the_same_again():
    settings = {"source": "amplified", "num_episodes": 2, "num_episodes_per_shard": 1}
    settings["max_attempts_per_episode"] = 2
    ((first,), _), ((second,), _) = (collect_shard(unit(shard=n, **settings)) for n in range(2))
    assert first.source == second.source == "amplified"
    assert first.success
    assert first.seed != second.seed
    assert first.init_state_index is None
    assert collect_shard(unit(shard=1, **settings))[0] == [second]


def test_an_expert_acts_and_too_few_successes_are_a_sentence(human, tmp_path):
    config = toy_config(f"task={TASK.id}", "name=raw")
    stats = NormStats.from_trajectories([human])
    save_expert(tmp_path / "raw", make_policy(config.policy, stats), config, stats, {})
    expert = Experts(str(tmp_path / "raw"), "outputs").read(TASK)
    settings = {"source": "experts", "sim": SimConfig(max_episode_steps=8)}
    attempt = unit(expert, max_attempts_per_episode=3, **settings)
    assert "Only 0 of 3 diffusion_rl episodes of libero_object/0" in collect_shard(attempt)
    assert attempt.counter.read().num_steps == 24
    damaged = dataclasses.replace(expert, files={**expert.files, "weights.safetensors": b"no"})
    assert "cannot be read as safetensors" in collect_shard(unit(damaged, **settings))
