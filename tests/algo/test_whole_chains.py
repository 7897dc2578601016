"""Pixel mode's learner: an image is encoded once per decision, and may be shifted."""

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from rl_datagen.algo.minibatches import chains, pairs
from tests.algo.test_learner import make_episodes, make_learner, update
from tests.toy import toy_config

pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib warns about its own interior

NUM_STEPS = 3


@pytest.fixture(scope="module")
def pixel_config():
    return toy_config(
        "policy.encoder=resnet",
        "policy.image_size=48",
        "policy.unet_channels=[16]",
        f"policy.num_denoising_steps={NUM_STEPS}",
        "algo.num_critic_epochs=1",
        "algo.critic_width=16",
        "algo.target_kl=100",
    )


@pytest.fixture
def learner(pixel_config):
    return make_learner(pixel_config)


@pytest.fixture
def batch(learner):
    """The columns of an iteration, whose weights have moved since."""
    columns = columns_of(learner, make_episodes(learner, num=2, decisions=3))
    with torch.no_grad():
        for parameter in policy_of(learner).parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return columns


def policy_of(learner):
    return learner.module[DEFAULT_MODULE_ID].policy


def columns_of(learner, episodes):
    batch = learner._learner_connector(
        rl_module=learner.module, batch={}, episodes=episodes, shared_data={}
    )
    return batch[DEFAULT_MODULE_ID]


def loss_and_gradient(learner, minibatch):
    policy_of(learner).zero_grad()
    module = learner.module[DEFAULT_MODULE_ID]
    loss, metrics = learner._policy_loss(minibatch, module.forward_train(minibatch)["log_prob"])
    loss.backward()
    gradient = {n: p.grad.clone() for n, p in policy_of(learner).named_parameters()}
    return loss.detach(), metrics, gradient


def test_whole_chains_have_the_loss_and_the_gradient_of_their_pairs(learner, batch):
    rows = torch.tensor([4, 0, 3])
    index = (rows[:, None] * NUM_STEPS + torch.arange(NUM_STEPS)).flatten()
    learner._measured = {"ratio_max": []}
    loss, metrics, gradient = loss_and_gradient(learner, chains(batch, rows, NUM_STEPS))
    expected = loss_and_gradient(learner, pairs(batch, index, NUM_STEPS))
    assert metrics["clip_fraction"] > 0.5  # the weights have moved
    torch.testing.assert_close(loss, expected[0])
    for name, value in expected[1].items():
        torch.testing.assert_close(metrics[name], value, rtol=1e-4, atol=1e-5)
    size = torch.cat([value.flatten() for value in expected[2].values()]).norm()
    assert size > 0
    for name, value in expected[2].items():
        assert (gradient[name] - value).norm() < 1e-5 * size, name


def test_an_observation_is_encoded_once_for_all_its_denoising_steps(learner, monkeypatch):
    episodes = make_episodes(learner, num=4, decisions=3)
    encoded, encode = [], policy_of(learner).encode

    def counting(observation):
        encoded.append(len(observation["proprio"]))
        return encode(observation)

    monkeypatch.setattr(policy_of(learner), "encode", counting)
    update(learner, episodes)  # two epochs; a minibatch of 40 pairs has room for all 12 decisions
    assert encoded == [12, 12]


def test_parts_of_a_minibatch_of_chains_add_up(pixel_config):
    whole, parts = make_learner(pixel_config), make_learner(pixel_config, micro_batch_size=7)
    episodes = make_episodes(whole, num=2, decisions=3)
    one, other = update(whole, episodes), update(parts, episodes)
    for name in ("approx_kl", "policy_loss", "actor_grad_norm"):
        assert other[name] == pytest.approx(one[name], rel=0.05, abs=1e-4)


@pytest.fixture
def shifting(pixel_config):
    policy = pixel_config.policy.model_copy(update={"random_shift": 4})
    return make_learner(pixel_config.model_copy(update={"policy": policy}), lr=1e-12)


def test_ratios_of_shifted_images_begin_at_one(shifting):
    """What was acted on is another image; ratios have to refer to the densities of this one."""
    episodes = make_episodes(shifting, num=2, decisions=3)
    columns = columns_of(shifting, episodes)
    shifted = shifting._shifted(columns)
    assert not torch.allclose(shifted["chain_log_prob"], columns["chain_log_prob"], atol=1e-3)
    metrics = update(shifting, episodes)
    assert metrics["ratio_max"] == pytest.approx(1, abs=1e-4)
    assert metrics["clip_fraction"] == 0


def test_every_iteration_shifts_otherwise_and_a_repeated_one_the_same(shifting):
    columns = columns_of(shifting, make_episodes(shifting, num=2, decisions=3))
    images = []
    for iteration in (0, 1, 0):
        shifting._iteration = iteration
        observation = shifting._shifted(columns)[Columns.OBS]
        assert not torch.equal(observation["agentview"], columns[Columns.OBS]["agentview"])
        images.append(observation["wrist"].numpy())
    np.testing.assert_array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[1])
