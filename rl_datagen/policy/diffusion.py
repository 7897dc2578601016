"""The diffusion policy: an encoder, a denoiser and a schedule, with the densities PPO needs."""

# Legend: B batch, K denoising steps, Ta action horizon, Ts action steps, Da action dim.
# A chain is [B, K+1, Ta, Da] with noise first: a_k lies at position K - k.

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rl_datagen.config import DiffusionConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.denoisers import UNet1d
from rl_datagen.policy.layers import Mlp
from rl_datagen.policy.normalizer import Normalizer
from rl_datagen.policy.schedule import MAX_NOISE, DenoisingSchedule

ACTION_DIM = 7
MIN_LOG_PROB = -5.0
"""Floor of an element's log-density (DPPO, arXiv:2409.00588).

DPPO also has a ceiling of 2. We drop it: with a standard deviation of at least 0.054 the density
never reaches it, and below that it would cut the gradient of exactly the likeliest elements.
"""

Observation = dict[str, Tensor]
"""``{"proprio": [B, 8], "object_state": [B, Do]}``, as a simulator gives it."""


class DiffusionPolicy(nn.Module):
    """Predicts the noise on an action chunk from the observed state.

    Args:
        config: Sizes, sampler and noise floors.
        stats: Statistics of the warm-start data.
    """

    def __init__(self, config: DiffusionConfig, stats: NormStats) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer(stats)
        width = config.encoder_width
        self.encoder = Mlp(self.normalizer.state_size, 2 * width, width)
        self.denoiser = UNet1d(ACTION_DIM, width, config.unet_channels)
        self.schedule = DenoisingSchedule(config.num_train_timesteps, config.num_denoising_steps)

    @property
    def num_chain_steps(self) -> int:
        """Denoising steps per decision, K."""
        return self.config.num_denoising_steps

    def encode(self, observation: Observation) -> Float[Tensor, "B F"]:
        """Returns the features that condition the denoiser."""
        return self.encoder(self.normalizer.state(observation))

    def loss(
        self,
        observation: Observation,
        action: Float[Tensor, "B Ta Da"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the noise-prediction error, Eq. (1) of the paper.

        Args:
            observation: State at the beginning of each chunk.
            action: Demonstrated chunks, in simulator units.
            generator: Source of noise and noise levels.
        """
        chunk = self.normalizer.normalize_action(action)
        device = chunk.device
        noise = torch.randn(chunk.shape, generator=generator, device=device)
        timestep = torch.randint(
            self.schedule.num_train_timesteps, (len(chunk),), generator=generator, device=device
        )
        noisy = self.schedule.add_noise(chunk, noise, timestep)
        return functional.mse_loss(self.denoiser(noisy, timestep, self.encode(observation)), noise)

    @torch.no_grad()
    def sample(
        self, observation: Observation, noise: Float[Tensor, "B K1 Ta Da"]
    ) -> Float[Tensor, "B K1 Ta Da"]:
        """Returns the chain of the deterministic sampler, ``eta=0``, normalised.

        Args:
            observation: Where to act.
            noise: Standard normal; only its first entry, a_K, is used.
        """
        condition = self.encode(observation)
        chain = [noise[:, 0]]
        for i in range(self.num_chain_steps):
            mean, _ = self._posterior(chain[-1], condition, self._k(i, noise), eta=0.0)
            chain.append(mean)
        return torch.stack(chain, dim=1)

    @torch.no_grad()
    def explore(
        self, observation: Observation, noise: Float[Tensor, "B K1 Ta Da"]
    ) -> tuple[Float[Tensor, "B K1 Ta Da"], Float[Tensor, "B K Ts Da"]]:
        """Returns a chain sampled with ``eta=1`` and the noise floor, and its log-densities.

        Args:
            observation: Where to act.
            noise: Standard normal: a_K, then the noise of each denoising step.
        """
        condition = self.encode(observation)
        chain, log_probs = [noise[:, 0]], []
        for i in range(self.num_chain_steps):
            mean, std = self._posterior(chain[-1], condition, self._k(i, noise), eta=1.0)
            floored = std.clamp(min=self.config.min_sampling_denoising_std)
            chain.append(mean + floored * noise[:, i + 1].clamp(-MAX_NOISE, MAX_NOISE))
            log_probs.append(self._density(mean, std, chain[-1]))
        return torch.stack(chain, dim=1), torch.stack(log_probs, dim=1)

    def draw_noise(
        self, num: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "B K1 Ta Da"]:
        """Returns what ``sample`` needs for ``num`` decisions, on the CPU."""
        shape = (num, self.num_chain_steps + 1, self.config.action_horizon, ACTION_DIM)
        return torch.randn(shape, generator=generator)

    def actions(self, chain: Float[Tensor, "B K1 Ta Da"]) -> Float[Tensor, "B Ts Da"]:
        """Returns the executed actions of a chain, in simulator units."""
        return self.normalizer.unnormalize_action(chain[:, -1, : self.config.action_steps])

    def log_prob(
        self,
        observation: Observation,
        chunk: Float[Tensor, "B Ta Da"],
        next_chunk: Float[Tensor, "B Ta Da"],
        k: Int[Tensor, " B"],
    ) -> Float[Tensor, "B Ts Da"]:
        """Returns log p(a_{k-1} | a_k, s) of each executed element, Eq. (5) of the paper.

        Args:
            observation: State of each row's decision.
            chunk: a_k.
            next_chunk: a_{k-1}.
            k: Denoising step of each row, K (noise) to 1.
        """
        return self._log_prob(self.encode(observation), chunk, next_chunk, k)

    def chain_log_prob(
        self, observation: Observation, chain: Float[Tensor, "B K1 Ta Da"]
    ) -> Float[Tensor, "B K Ts Da"]:
        """Returns the log-densities of every denoising step, the noisiest first."""
        condition = self.encode(observation)
        steps = [
            self._log_prob(condition, chain[:, i], chain[:, i + 1], self._k(i, chain))
            for i in range(self.num_chain_steps)
        ]
        return torch.stack(steps, dim=1)

    def _k(self, position: int, chain: Tensor) -> Tensor:
        """The denoising step that leads away from a position of the chain, for every row."""
        k = self.num_chain_steps - position
        return torch.full((len(chain),), k, device=chain.device)

    def _log_prob(self, condition: Tensor, chunk: Tensor, next_chunk: Tensor, k: Tensor) -> Tensor:
        return self._density(*self._posterior(chunk, condition, k, eta=1.0), next_chunk)

    def _density(self, mean: Tensor, std: Tensor, next_chunk: Tensor) -> Tensor:
        std = std.clamp(min=self.config.min_logprob_denoising_std)
        # Actions that are predicted but not executed influence nothing.
        executed = slice(self.config.action_steps)
        density = torch.distributions.Normal(mean[:, executed], std, validate_args=False)
        return density.log_prob(next_chunk[:, executed]).clamp(min=MIN_LOG_PROB)

    def _posterior(
        self, chunk: Tensor, condition: Tensor, k: Tensor, eta: float
    ) -> tuple[Tensor, Tensor]:
        predicted = self.denoiser(chunk, self.schedule.timestep(k), condition)
        return self.schedule.posterior(predicted, chunk, k, eta)
