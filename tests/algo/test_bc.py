import numpy as np
import pytest
import torch

from rl_datagen.algo.bc import clone_own, make_chunks, warm_start
from rl_datagen.core.errors import UserError
from tests.toy import demonstrations, toy_config

SMALL = ("policy.unet_channels=[16]", "warm_start.train_batch_size=64")


def test_chunks_repeat_the_last_action_at_the_end():
    (episode,) = demonstrations(1)
    chunks = make_chunks([episode], ["proprio"], toy_config())
    assert chunks.action.shape == (12, 4, 7)
    np.testing.assert_array_equal(chunks.action[3], episode.action[3:7])
    np.testing.assert_array_equal(chunks.action[-2], episode.action[[10, 11, 11, 11]])
    np.testing.assert_array_equal(chunks.observation["proprio"], episode.proprio)


def test_a_clone_imitates_and_reports():
    reports = []
    config = toy_config(*SMALL, "warm_start.num_updates=300")
    _, _, metrics = warm_start(
        demonstrations(40, spread=0.3), config, report=lambda n, m: reports.append((n, m))
    )
    assert [number for number, _ in reports] == [50, 100, 150, 200, 250, 300]
    assert reports[-1][1] == metrics
    assert metrics["held_out_loss"] < 0.7 * reports[0][1]["held_out_loss"]


def test_the_same_seed_gives_the_same_clone():
    config = toy_config(*SMALL, "warm_start.num_updates=10")
    episodes = demonstrations(4)
    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)  # the global stream must not matter
        weights.append(warm_start(episodes, config)[0].state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=0)


def test_a_policy_does_not_see_what_it_is_to_ignore():
    config = toy_config(*SMALL, "warm_start.num_updates=10")
    episodes = demonstrations(4)
    ignored = np.arange(episodes[0].object_state.shape[1]) >= 1
    policy, _, _ = warm_start(episodes, config, ignored=ignored)

    def act(change):
        state = torch.from_numpy(episodes[0].object_state[:1] + change.astype(np.float32))
        observation = {"proprio": torch.from_numpy(episodes[0].proprio[:1]), "object_state": state}
        with torch.no_grad():
            return policy.encode(observation)

    torch.testing.assert_close(act(1000.0 * ignored), act(0.0 * ignored), rtol=0, atol=0)
    assert not torch.equal(act(1.0 * ~ignored), act(0.0 * ignored))


def test_a_lone_demonstration_is_trained_on():
    config = toy_config(*SMALL, "warm_start.num_updates=2")
    _, _, metrics = warm_start(demonstrations(1), config)
    assert "held_out_loss" not in metrics


def test_nan_is_a_clear_error():
    (episode,) = demonstrations(1)
    episode.proprio[3] = np.nan
    config = toy_config(*SMALL, "warm_start.num_updates=2")
    with pytest.raises(UserError, match="NaN in the demonstrations"):
        warm_start([episode], config)


def test_no_demonstration_is_a_clear_error():
    with pytest.raises(UserError, match="no episode"):
        warm_start([], toy_config())


def test_a_policy_clones_its_own_episodes_and_keeps_its_statistics():
    config = toy_config(*SMALL, "warm_start.num_updates=200", "polish.num_updates=200")
    policy, _, _ = warm_start(demonstrations(20, spread=1.0), config)
    chosen = demonstrations(6)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    learnt, again = (clone_own(policy, chosen, config, "a") for _ in range(2))
    other = clone_own(policy, chosen, config, "b")
    for name, value in policy.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(learnt.state_dict()[name], again.state_dict()[name])
    assert any(
        not torch.equal(a, b) for a, b in zip(learnt.parameters(), other.parameters(), strict=True)
    )
    chunks = make_chunks(chosen, policy.observation_keys, config)
    losses = [
        each.loss(chunks.observation, chunks.action, torch.Generator().manual_seed(0)).item()
        for each in (policy, learnt)
    ]
    assert losses[1] < 0.8 * losses[0]
    for mean, own in zip(policy.normalizer.buffers(), learnt.normalizer.buffers(), strict=True):
        assert torch.equal(mean, own)
