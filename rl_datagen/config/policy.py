"""Settings of the policies over action chunks; denoising ones are spelled as DPPO spells them.

DPPO: arXiv:2409.00588.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rl_datagen.config.types import (
    Channels,
    Deviation,
    Fraction,
    Horizon,
    Rendering,
    Section,
    Width,
    check_chunk,
    check_unet,
)

DenoisingSteps = Annotated[int, Field(ge=1, le=10_000)]


class _ChunkPolicyConfig(Section):
    """What all policies over action chunks share."""

    action_horizon: Horizon = 8
    """Env steps predicted together."""
    action_steps: Horizon = 8
    """Env steps executed of each prediction."""
    encoder: Literal["state", "resnet", "vit"] = "state"
    """What encodes the observation. ``state``: object poses and proprio, an MLP (state mode);
    ``resnet``, ``vit``: both cameras, with proprio by FiLM (pixel mode)."""
    objects: Literal["interest", "all"] = "interest"
    """Whose poses an expert in state mode sees: the objects of interest that the task's definition
    names, which are all that its goal mentions; or all. Where one that does not matter lies
    outside what the demonstrations show, it misleads a policy that sees it."""
    encoder_width: Width = 128
    """Features of the encoded observation, which condition the denoiser."""
    image_size: Annotated[int, Field(ge=48, le=1024)] = 128
    """Height and width of the images in pixel mode, pixels. A dataset's images have a size of their
    own: they are made from its physics."""
    rendering: Rendering = "exact"
    """How the images in pixel mode are drawn. ``exact``: as LIBERO draws them, with four samples a
    pixel; ``plain``: with one, edges are not smoothed, about half the time on a CPU."""
    random_shift: Annotated[int, Field(ge=0, le=16)] = 0
    """Pixel mode: each image that is learnt from is shifted by up to this many pixels, down or up
    and sideways, anew for each gradient step of cloning and once for each iteration's episodes
    (DPPO takes 4); 0 shifts none."""
    denoiser: Literal["unet", "mlp"] = "unet"
    """Network over the chunk, conditioned by the encoder's features. A Gaussian policy has the
    same one, applied once to a learnt chunk."""
    unet_channels: Channels = (32, 64)
    """Channels of each U-Net level; each further level halves the chunk."""
    mlp_width: Width = 256
    """Units of the MLP's hidden layers."""

    @property
    def mode(self) -> Literal["state", "pixel"]:
        """What simulators have to show."""
        return "state" if self.encoder == "state" else "pixel"

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        check_chunk(self.action_steps, self.action_horizon)
        if self.denoiser == "unet":
            check_unet(self.unet_channels, self.action_horizon)
        if self.encoder == "vit" and self.image_size % 8:
            raise ValueError(
                f"image_size={self.image_size} must be a multiple of 8 with encoder='vit', which "
                "cuts an image into 8 x 8 patches"
            )
        return self


class DiffusionConfig(_ChunkPolicyConfig):
    """A diffusion policy over action chunks."""

    kind: Literal["diffusion"] = "diffusion"
    num_train_timesteps: DenoisingSteps = 100
    """Steps of the noise schedule that the denoiser is trained on."""
    num_denoising_steps: DenoisingSteps = 5
    """Steps of the sampler, K."""
    sampler: Literal["ddim", "ddpm"] = "ddim"
    """``ddpm`` visits every training step, so it needs K = ``num_train_timesteps``."""
    sampling_eta: Fraction = 0.5
    """Scale of the sampler's own noise in training; 1 is DDPM's."""
    sampling_temperature: Fraction = 0.5
    """Scale of the noise that chains begin with in training and in attempts to polish from."""
    evaluation_eta: Fraction = 0.0
    """The same in evaluation and collection, without a floor; 0 is deterministic."""
    evaluation_temperature: Fraction = 0.0
    """Scale of the sampler's noise in evaluation and collection, of what it begins with too: 1
    samples as the policy was cloned, less is smoother, 0 has one answer to a state."""
    min_sampling_denoising_std: Deviation = 0.06
    """Floor of the exploration noise per denoising step, in normalised action units."""
    min_logprob_denoising_std: Deviation = 0.1
    """Floor of the standard deviation in the log-probabilities."""

    @property
    def source(self) -> Literal["diffusion_rl"]:
        """What its episodes are recorded as."""
        return "diffusion_rl"

    @model_validator(mode="after")
    def _sampler_agrees(self) -> Self:
        if self.num_denoising_steps > self.num_train_timesteps:
            raise ValueError(
                f"num_denoising_steps={self.num_denoising_steps} is more than "
                f"num_train_timesteps={self.num_train_timesteps}"
            )
        if self.sampler == "ddpm" and self.num_denoising_steps != self.num_train_timesteps:
            raise ValueError(
                f"num_denoising_steps={self.num_denoising_steps} with sampler='ddpm', which visits "
                f"every training step: set num_denoising_steps to {self.num_train_timesteps} (or "
                "num_train_timesteps lower), or take sampler='ddim'"
            )
        if self.sampler == "ddpm" and self.sampling_eta != 1:
            raise ValueError(
                f"sampling_eta={self.sampling_eta} with sampler='ddpm', whose noise is that of "
                "sampling_eta=1: set that, or take sampler='ddim'"
            )
        return self


class GaussianConfig(_ChunkPolicyConfig):
    """A diagonal Gaussian over action chunks, the paper's baseline."""

    kind: Literal["gaussian"] = "gaussian"
    init_std: Deviation = 0.08
    """Standard deviation before fine-tuning, in normalised action units; the warm start leaves it
    alone."""
    min_std: Deviation = 0.04
    """What the learnt standard deviation approaches at most."""

    @property
    def num_denoising_steps(self) -> int:
        """Its chain has one step."""
        return 1

    @property
    def source(self) -> Literal["gaussian_rl"]:
        """What its episodes are recorded as."""
        return "gaussian_rl"

    @model_validator(mode="after")
    def _deviations_agree(self) -> Self:
        if self.init_std <= self.min_std:
            raise ValueError(
                f"init_std={self.init_std} must be more than min_std={self.min_std}, which the "
                "learnt deviation stays above"
            )
        return self


PolicyConfig = DiffusionConfig | GaussianConfig
"""The policies there are; ``kind`` tells them apart."""
