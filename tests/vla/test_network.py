import numpy as np
import pytest
import torch

from rl_datagen.config import SmallVlaConfig, VlaConfig, load_config
from rl_datagen.core.errors import ConfigError
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS
from rl_datagen.vla.network import SmallVla, resize

SMALL = {"encoder_width": 16, "unet_channels": (8, 16)}


def make_network(size, **settings):
    stats = NormStats.from_arrays(
        np.array([[-1] * 7, [1] * 7], np.float32), {"proprio": np.zeros((2, 8), np.float32)}
    )
    torch.manual_seed(0)
    return SmallVla(SmallVlaConfig(image_size=size, **settings), stats, 6)


def make_observation(num, size):
    generator = torch.Generator().manual_seed(0)
    shape = (num, size, size, 3)
    images = {
        camera: torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        for camera in CAMERAS
    }
    proprio, language = torch.randn(num, 8, generator=generator), torch.randn(num, 6)
    return {"proprio": proprio, "language": language, **images}


@pytest.mark.parametrize(("encoder", "low", "high"), [("compact", 0.5, 1.5), ("resnet", 5, 15)])
def test_sizes(encoder, low, high):
    millions = sum(p.numel() for p in make_network(64, encoder=encoder).parameters()) / 1e6
    assert low < millions < high


@pytest.mark.parametrize("encoder", ["compact", "resnet"])
def test_every_input_matters_and_every_weight_learns(encoder):
    network = make_network(32, encoder=encoder, **SMALL)
    observation = make_observation(3, 32)
    network(observation, torch.zeros(3, 8, 7)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    noise = network.draw_noise(3, torch.Generator().manual_seed(0))
    actions = network.eval().sample(observation, noise)
    assert actions.shape == (3, 8, 7)
    for key in observation:
        other = observation | {key: observation[key].flip(0)}
        assert not torch.equal(network.sample(other, noise)[0], actions[0]), key


@pytest.mark.parametrize("quick", [True, False])
def test_bf16_encodes_nearly_the_same_where_it_is_quick(quick, monkeypatch):
    monkeypatch.setattr("rl_datagen.vla.network.is_quick_at_bf16", lambda device: quick)
    observation = make_observation(3, 32)
    exact, rounded = (
        make_network(32, encoder="compact", precision=precision, **SMALL).encode(observation)
        for precision in ("float32", "bf16")
    )
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact) != quick
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.05)


def test_flow_matching_leads_from_noise_to_the_data():
    """A network whose data is one chunk brings every noise there."""
    network = make_network(32, encoder="compact", encoder_width=16, unet_channels=(32, 64))
    optimizer = torch.optim.Adam(network.denoiser.parameters(), 3e-3)
    observation = make_observation(8, 32)
    chunk = torch.linspace(-0.8, 0.8, 56).view(1, 8, 7).repeat(8, 1, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        optimizer.zero_grad()
        network(observation, chunk, generator).backward()
        optimizer.step()
    actions = network.eval().sample(observation, network.draw_noise(8, generator))
    assert (actions - chunk).abs().mean() < 0.15


def test_images_are_reduced_by_averaging_areas():
    image = torch.tensor([[0, 4], [8, 12]], dtype=torch.uint8)[None, :, :, None].repeat(1, 8, 8, 3)
    assert torch.equal(resize(image, 16), image)
    assert (resize(image, 8) == 6).all()


def test_contradictions_are_named():
    with pytest.raises(ConfigError, match="action_steps=9 is more than action_horizon=8"):
        load_config(["datasets=x", "model.action_steps=9"], model=VlaConfig)
    with pytest.raises(ConfigError, match="must be a multiple of 4"):
        load_config(
            ["datasets=x", "model.unet_channels=[8,8,8]", "model.action_horizon=10"],
            model=VlaConfig,
        )
