import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from rl_datagen.policy.schedule import DenoisingSchedule


def diffusers_schedule(num_train_timesteps, num_denoising_steps):
    """diffusers' scheduler with the steps that ``DenoisingSchedule`` takes."""
    scheduler = DDIMScheduler(
        num_train_timesteps=num_train_timesteps,
        beta_schedule="squaredcos_cap_v2",
        clip_sample=True,
        timestep_spacing="leading",
        steps_offset=num_train_timesteps // num_denoising_steps // 2,
    )
    scheduler.set_timesteps(num_denoising_steps)
    return scheduler


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(100, 4, 7, generator=generator) for _ in range(3)]


@pytest.mark.parametrize(
    ("levels", "steps"), [(100, 1), (100, 5), (100, 20), (100, 100), (50, 7), (1000, 10)]
)
def test_levels_are_those_of_diffusers_bit_for_bit(levels, steps):
    schedule, theirs = DenoisingSchedule(levels, steps), diffusers_schedule(levels, steps)
    k = torch.arange(steps, 0, -1)
    assert torch.equal(schedule.timestep(k), theirs.timesteps)
    clean, every = torch.zeros(levels, 1, 1), torch.arange(levels)
    noisy = schedule.add_noise(clean + 1, clean, every)
    assert torch.equal(noisy.flatten(), theirs.alphas_cumprod.sqrt())


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 5, 10, 100])
def test_posterior_of_mixed_steps_equals_ddim_step(rows, steps, eta):
    predicted, chunk, noise = (row[:steps] for row in rows)
    k = torch.arange(steps, 0, -1)
    mean, std = DenoisingSchedule(100, steps).posterior(predicted, chunk, k, eta)
    scheduler = diffusers_schedule(100, steps)
    for i, timestep in enumerate(scheduler.timesteps):
        expected = scheduler.step(
            predicted[i],
            timestep,
            chunk[i],
            eta=eta,
            use_clipped_model_output=True,
            variance_noise=noise[i],
        ).prev_sample
        torch.testing.assert_close(mean[i] + std[i] * noise[i], expected, rtol=1e-5, atol=1e-5)


def test_eta_one_over_all_steps_is_ddpm(rows, monkeypatch):
    predicted, chunk, noise = rows
    k = torch.arange(100, 0, -1)
    mean, std = DenoisingSchedule(100, 100).posterior(predicted, chunk, k, 1.0)
    scheduler = DDPMScheduler(100, beta_schedule="squaredcos_cap_v2", clip_sample=True)
    for i, timestep in enumerate(scheduler.timesteps):
        monkeypatch.setattr(
            "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, i=i, **__: noise[i]
        )
        expected = scheduler.step(predicted[i], timestep, chunk[i]).prev_sample
        torch.testing.assert_close(mean[i] + std[i] * noise[i], expected, rtol=1e-4, atol=1e-4)


def test_five_of_a_hundred_steps_sit_in_the_middle_of_their_part():
    schedule = DenoisingSchedule(100, 5)
    assert schedule.timestep(torch.arange(5, 0, -1)).tolist() == [90, 70, 50, 30, 10]


def test_the_last_step_ends_clean():
    chunk, predicted = torch.full((1, 4, 7), 0.3), torch.zeros(1, 4, 7)
    mean, std = DenoisingSchedule(100, 5).posterior(predicted, chunk, torch.tensor([1]), 1.0)
    assert mean.abs().max() <= 1
    assert std.item() == 0
