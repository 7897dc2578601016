"""Our loss is DPPO's: five numbers that its published code gave for the same inputs.

``dppo_golden.json`` holds the inputs (a small analytic denoiser, old and new weights, chunks and
advantages) and what ``PPODiffusion.loss`` and ``get_logprobs_subsample`` of irom-princeton/dppo at
cc7234a made of them: five DDIM steps of 100 levels, eta 1, mean reduction, three of four actions
executed. DPPO takes the lower end of each part of the levels, 80 to 0, so ours is put there.
"""

import json
from pathlib import Path

import pytest
import torch

from rl_datagen.algo.losses import policy_loss
from rl_datagen.policy.base import MIN_LOG_PROB
from rl_datagen.policy.schedule import DenoisingSchedule

NUM_STEPS, ACTION_STEPS = 5, 3


@pytest.fixture(scope="module")
def fixture():
    return json.loads(Path(__file__).with_name("dppo_golden.json").read_text())


class Golden:
    def __init__(self, inputs):
        self.inputs = inputs
        self.k = NUM_STEPS - torch.tensor(inputs["step"])  # DPPO counts from noise
        self.schedule = DenoisingSchedule(100, NUM_STEPS)
        # Ours count up from the last step.
        self.schedule._timesteps = torch.tensor(inputs["timestep"]).flip(0)
        self.schedule._alpha = torch.tensor(inputs["alpha"]).flip(0)
        self.schedule._alpha_previous = torch.tensor(inputs["alpha_previous"]).flip(0)
        names = ("weight_chunk", "weight_state", "weight_time")
        self.old = [self.tensor(name) for name in names]
        self.new = [self.old[0] + self.tensor("drift"), *self.old[1:]]
        self.new = [weight.clone().requires_grad_() for weight in self.new]

    def tensor(self, name):
        return torch.tensor(self.inputs[name], dtype=torch.float32)

    def log_prob(self, weights):
        of_chunk, of_state, of_time = weights
        chunk, level = self.tensor("chunk"), self.schedule.timestep(self.k) / 100
        predicted = torch.tanh(
            chunk @ of_chunk
            + (self.tensor("state") @ of_state)[:, None]
            + level[:, None, None] * of_time
        )
        mean, std = self.schedule.posterior(predicted, chunk, self.k, eta=1.0)
        density = torch.distributions.Normal(mean, std.clamp(min=0.1))
        log_prob = density.log_prob(self.tensor("next_chunk")).clamp(min=MIN_LOG_PROB)
        return log_prob[:, :ACTION_STEPS]


def test_loss_gradient_and_metrics_are_dppos(fixture):
    golden, expected = Golden(fixture["inputs"]), fixture["golden"]
    old = golden.log_prob(golden.old).detach()
    result = policy_loss(
        golden.log_prob(golden.new),
        old,
        torch.ones(len(old), ACTION_STEPS, dtype=torch.bool),
        golden.tensor("advantage"),
        golden.k,
        num_denoising_steps=NUM_STEPS,
        gamma_denoising=0.9,
        clip_base=0.001,
        clip_param=0.01,
    )
    result.loss.backward()
    norm = torch.cat([weight.grad.flatten() for weight in golden.new]).norm()
    assert old.mean().item() == pytest.approx(expected["log_prob_mean"], abs=1e-6)
    assert result.loss.item() == pytest.approx(expected["loss"], abs=1e-6)
    assert result.clip_fraction.item() == expected["clip_fraction"]
    assert result.ratio_mean.item() == pytest.approx(expected["ratio_mean"], abs=1e-6)
    assert norm.item() == pytest.approx(expected["gradient_norm"], rel=1e-5)
