import numpy as np
import pytest
import torch
from torch import nn

from rl_datagen.config import WarmStartConfig
from rl_datagen.core.errors import UserError
from rl_datagen.policy.supervised import SupervisedLearner, lr_factor


def make(**settings):
    """A learner of y = 2x, and its network."""
    torch.manual_seed(0)
    network = nn.Linear(1, 1)
    values = {"num_updates": 120, "num_lr_warmup_updates": 10, "lr": 0.05} | settings
    config = WarmStartConfig.model_validate(values)

    def loss(x):
        return (network(x) - 2 * x).square().mean()

    return SupervisedLearner(network, config, loss, advice="eat less"), network


def learn(learner, until):
    while learner.num_updates < until:
        generator = torch.Generator().manual_seed(learner.num_updates)
        yield learner.update(torch.rand(16, 1, generator=generator))


def test_learning_rate_warms_up_and_anneals_to_zero():
    settings = WarmStartConfig(num_updates=110, num_lr_warmup_updates=10)
    factors = [lr_factor(i, settings) for i in (0, 9, 10, 60, 110)]
    np.testing.assert_allclose(factors, [0.1, 1, 1, 0.5, 0], atol=1e-12)


def test_a_row_every_fifty_updates_and_at_the_end():
    learner, _ = make()
    rows = [row for row in learn(learner, 120) if row]
    assert [row["iteration"] for row in rows] == [50, 100, 120]
    assert rows == learner.curve
    assert learner.finished
    assert rows[-1]["loss"] < 0.2 * rows[0]["loss"]


def test_one_that_was_stored_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, expected = make()
    list(learn(whole, 120))
    whole.finish()
    first, _ = make()
    list(learn(first, 70))
    first.save(tmp_path / "checkpoint")
    second, network = make()
    second.load(tmp_path / "checkpoint")
    list(learn(second, 120))
    second.finish()
    assert second.curve == whole.curve
    for name, value in expected.state_dict().items():
        assert value.equal(network.state_dict()[name])


def test_averaged_weights_are_lent_and_given_back():
    learner, network = make()
    list(learn(learner, 60))
    own = network.weight.item()
    with learner.averaged():
        lent = network.weight.item()
    assert network.weight.item() == own != lent
    learner.finish()
    assert network.weight.item() == lent
    assert not network.training


def test_a_loss_that_is_not_finite_ends_it_with_advice():
    learner, _ = make(num_updates=1)
    with pytest.raises(UserError, match=r"The loss is nan after 1 updates: eat less\."):
        learner.update(torch.tensor([[np.nan]]))
