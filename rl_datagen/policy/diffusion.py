"""The diffusion policy: a denoiser and a schedule."""

# Legend: B batch, Ta action horizon, Da action dim, F features.

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from rl_datagen.config import DiffusionConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.base import ChunkPolicy, Observation
from rl_datagen.policy.schedule import DenoisingSchedule

_NUM_DRAWS = 4  # of images, which are dear to encode; chunks are not


class DiffusionPolicy(ChunkPolicy):
    """Predicts the noise on an action chunk from what is observed.

    Args:
        config: Sizes, sampler and noise floors.
        stats: Statistics of the warm-start data.
    """

    def __init__(self, config: DiffusionConfig, stats: NormStats) -> None:
        super().__init__(config, stats)
        self.schedule = DenoisingSchedule(config.num_train_timesteps, config.num_denoising_steps)
        self.num_draws = _NUM_DRAWS if config.mode == "pixel" else 1
        self.sampling_eta, self.evaluation_eta = config.sampling_eta, config.evaluation_eta
        self.sampling_temperature = config.sampling_temperature
        self.evaluation_temperature = config.evaluation_temperature
        self.min_sampling_std = config.min_sampling_denoising_std
        self.min_log_prob_std = config.min_logprob_denoising_std

    def loss(
        self,
        observation: Observation,
        action: Float[Tensor, "B Ta Da"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the noise-prediction error, Eq. (1) of the paper; see ``ChunkPolicy``."""
        chunk = self.normalizer.normalize_action(action).repeat_interleave(self.num_draws, 0)
        condition = self.encode(observation).repeat_interleave(self.num_draws, 0)
        device = chunk.device
        noise = torch.randn(chunk.shape, generator=generator, device=device)
        timestep = torch.randint(
            self.schedule.num_train_timesteps, (len(chunk),), generator=generator, device=device
        )
        noisy = self.schedule.add_noise(chunk, noise, timestep)
        return functional.mse_loss(self.denoiser(noisy, timestep, condition), noise)

    def posterior(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        condition: Float[Tensor, "B F"],
        k: Int[Tensor, " B"],
        eta: float,
    ) -> tuple[Float[Tensor, "B Ta Da"], Float[Tensor, "..."]]:
        """Returns mean and standard deviation of p(a_{k-1} | a_k, s); see ``ChunkPolicy``."""
        predicted = self.denoiser(chunk, self.schedule.timestep(k), condition)
        return self.schedule.posterior(predicted, chunk, k, eta)
