"""What encoders tell the denoiser."""

import numpy as np
import pytest
import torch

from rl_datagen.policy import load_policy, make_policy, save_expert
from tests.toy import toy_config

STEP = 0.1  # standard deviations: about a centimetre


@pytest.fixture
def policies(stats):
    """The same policy, told that one entry of the object state is a position, and not told."""
    marked = stats.with_positions("object_state", np.array([True, False, False]))
    config = toy_config().policy
    torch.manual_seed(0)
    return make_policy(config, marked, "float32"), make_policy(config, stats, "float32"), marked


def change(policy, observation, entry):
    """How far the features move with one entry of the object state."""
    moved = {**observation, "object_state": observation["object_state"].clone()}
    std = policy.normalizer._std[8 + entry]
    moved["object_state"][:, entry] += STEP * std
    with torch.no_grad():
        return (policy.encode(moved) - policy.encode(observation)).norm(dim=1).mean().item()


def test_positions_are_told_apart_more_finely_than_other_entries(policies, observation):
    fine, plain, _ = policies
    assert change(fine, observation, 0) > 3 * change(fine, observation, 1)
    assert change(plain, observation, 0) < 2 * change(plain, observation, 1)


def test_an_expert_keeps_its_positions(policies, observation, tmp_path):
    policy, _, stats = policies
    save_expert(tmp_path, policy, toy_config(), stats, {})
    loaded, _, _ = load_policy(tmp_path)
    torch.testing.assert_close(loaded.encode(observation), policy.encode(observation))


def test_a_policy_of_pixels_has_no_positions(policies, observation):
    _, _, stats = policies
    policy = make_policy(toy_config("policy.encoder=resnet", "policy.image_size=48").policy, stats)
    assert policy.normalizer.positions == []
    assert torch.isfinite(policy.encode(observation)).all()
