import hashlib

import pytest
import torch
from safetensors.torch import save
from torch import nn

from rl_datagen.core.errors import UserError
from rl_datagen.policy.weights import NORM_STATS, WEIGHTS, load_weights, pack_weights, save_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / NORM_STATS).write_text("{}")
    return tmp_path


def test_the_same_weights_give_the_same_bytes(network):
    """Experts are known by the digest of this file, and safetensors shuffles several keys."""
    contents = {pack_weights(network.state_dict(), b"{}") for _ in range(30)}
    assert len(contents) == 1


def test_weights_of_earlier_releases_are_read_and_checked(network, folder):
    save_weights(network, folder / WEIGHTS)
    load_weights(network, folder / WEIGHTS)
    seals = {"norm_stats_sha256": hashlib.sha256(b"{}").hexdigest()}
    (folder / WEIGHTS).write_bytes(save(network.state_dict(), metadata={**seals, "other": "1"}))
    load_weights(network, folder / WEIGHTS)
    (folder / NORM_STATS).write_text("{ }")
    with pytest.raises(UserError, match=f"another checksum of '{NORM_STATS}'"):
        load_weights(network, folder / WEIGHTS)


@pytest.mark.parametrize("seals", ["[]", "no JSON", "{"])
def test_seals_that_are_none_are_damage(network, folder, seals):
    (folder / WEIGHTS).write_bytes(save(network.state_dict(), metadata={"seals": seals}))
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        load_weights(network, folder / WEIGHTS)
