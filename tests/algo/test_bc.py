from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from rl_datagen.algo.bc import Chunks, _train, clone_own, make_chunks, warm_start
from rl_datagen.config import WarmStartConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import make_policy
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


def test_a_clone_may_begin_with_another_task_s_expert():
    config = toy_config(*SMALL, "warm_start.num_updates=100")
    expert, stats, _ = warm_start(demonstrations(20), config)
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    config = toy_config(*SMALL, "warm_start.num_updates=10", "warm_start.lr=1e-4")
    losses = []
    for initial in (None, (expert, stats)):
        other = demonstrations(20, spread=0.5)
        policy, found, metrics = warm_start(other, config, initial=initial)
        losses.append(metrics["held_out_loss"])
    assert losses[1] < 0.8 * losses[0]
    assert found is stats
    assert any(not value.equal(before[name]) for name, value in policy.state_dict().items())
    for name, value in expert.state_dict().items():
        assert value.equal(before[name])


def test_an_expert_that_observes_something_else_is_refused():
    config = toy_config(*SMALL, "warm_start.num_updates=10")
    episodes = demonstrations(4)
    fewer = [replace(e, object_state=e.object_state[:, :2]) for e in episodes]
    expert, stats, _ = warm_start(fewer, config)
    with pytest.raises(UserError, match=r"observes .*2.* numbers and this task has .*3"):
        warm_start(episodes, config, initial=(expert, stats))


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


@pytest.mark.slow
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


def test_cloning_shifts_images_anew_for_each_gradient_step(monkeypatch):
    policy_config = toy_config(
        *SMALL, "policy.encoder=resnet", "policy.image_size=48", "policy.random_shift=4"
    ).policy
    policy = make_policy(policy_config, NormStats.from_trajectories(demonstrations(2)))
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (1, 48, 48, 3), generator=generator).to(torch.uint8)
    chunks = Chunks(
        {"proprio": torch.zeros(1, 8), "agentview": image, "wrist": image}, torch.zeros(1, 4, 7)
    )
    seen, loss = [], policy.loss

    def remember(observation, *arguments):
        seen.append(observation)
        return loss(observation, *arguments)

    monkeypatch.setattr(policy, "loss", remember)
    _train(policy, chunks, None, WarmStartConfig(num_updates=3), generator, None)
    images = [observation[camera] for observation in seen for camera in ("agentview", "wrist")]
    assert len({each.numpy().tobytes() for each in images}) == 6
    for each in images:  # within four pixels the middle moves, and nothing else happens to it
        assert any(
            torch.equal(each[0, 8:40, 8:40], image[0, 8 + y : 40 + y, 8 + x : 40 + x])
            for y in range(-4, 5)
            for x in range(-4, 5)
        )


def test_an_interrupted_clone_goes_on_as_if_nothing_had_happened(monkeypatch, tmp_path):
    config = toy_config(*SMALL, "warm_start.num_updates=120")
    episodes, checkpoint = demonstrations(8), tmp_path / "warm_start.pt"
    expected, _, metrics = warm_start(episodes, config)
    monkeypatch.setattr("rl_datagen.algo.bc._SAVE_INTERVAL_S", 0)
    reports = []

    def die(update, metrics):
        reports.append(update)
        if update == 100 and reports.count(100) == 1:
            raise KeyboardInterrupt

    for again in (False, True):
        with nullcontext() if again else pytest.raises(KeyboardInterrupt):
            policy, _, found = warm_start(episodes, config, report=die, checkpoint=checkpoint)
        assert checkpoint.exists() != again
    assert reports == [50, 100, 100, 120]  # the checkpoint was of the update before
    assert found == metrics
    for name, value in expected.state_dict().items():
        assert value.equal(policy.state_dict()[name])
    assert not list(tmp_path.iterdir())
