"""What all policies over action chunks share: acting by chains, and the densities PPO needs."""

# Legend: B batch, K denoising steps, K1 = K + 1, Ta action horizon, Ts action steps, Da action dim.
# A chain is [B, K+1, Ta, Da] with noise first: a_k lies at position K - k.

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rl_datagen.config import PolicyConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.denoisers import ACTION_DIM, make_denoiser
from rl_datagen.policy.encoders import make_encoder
from rl_datagen.policy.normalizer import Normalizer
from rl_datagen.policy.schedule import MAX_NOISE

MIN_LOG_PROB = -5.0
"""Floor of an element's log-density (DPPO, arXiv:2409.00588).

DPPO also has a ceiling of 2. We drop it: with a standard deviation of at least 0.054 the density
never reaches it, and below that it would cut the gradient of exactly the likeliest elements.
"""

Observation = dict[str, Tensor]
"""``{"proprio": [B, 8]}`` and, in state mode, ``"object_state": [B, Do]``, in pixel mode
``"agentview"`` and ``"wrist"``: uint8 [B, H, W, 3]; as a simulator gives it. Other keys are
ignored."""


def is_quick_at_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is quicker than float32: on a GPU, and on a CPU with matrix units (AMX).

    Other CPUs round every number there and back.
    """
    return device.type != "cpu" or torch.cpu._is_amx_tile_supported()


class ChunkPolicy(nn.Module, ABC):
    """A distribution over action chunks that is reached in K Gaussian steps from noise.

    Args:
        config: Sizes, sampler and noise floors.
        stats: Statistics of the warm-start data.
    """

    bf16 = False
    """Encode in mixed precision where the device is quick at it. The denoiser never does: rounding
    there moves ratios as far as clip ranges reach."""
    num_draws = 1
    """Noise levels of each demonstrated chunk in a gradient step of cloning."""
    deterministic = False
    """Whether evaluation and collection act without any noise."""
    sampling_eta = 1.0
    sampling_temperature = 1.0
    evaluation_eta = 0.0
    evaluation_temperature = 1.0
    min_sampling_std = 0.0
    """Floor of the exploration noise of each step."""
    min_log_prob_std = 0.0
    """Floor of the standard deviation in the log-densities."""

    def __init__(self, config: PolicyConfig, stats: NormStats) -> None:
        super().__init__()
        self.config = config
        pixels = config.mode == "pixel"
        self.normalizer = Normalizer(stats, ("proprio",) if pixels else tuple(stats.mean))
        self.encoder = make_encoder(config, self.normalizer)
        self.denoiser = make_denoiser(config)

    @property
    def num_chain_steps(self) -> int:
        """Denoising steps per decision, K."""
        return self.config.num_denoising_steps

    @property
    def observation_keys(self) -> tuple[str, ...]:
        """What the policy looks at."""
        return self.normalizer.keys + (CAMERAS if self.config.mode == "pixel" else ())

    @abstractmethod
    def loss(
        self,
        observation: Observation,
        action: Float[Tensor, "B Ta Da"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the loss of behaviour cloning.

        Args:
            observation: State at the beginning of each chunk.
            action: Demonstrated chunks, in simulator units.
            generator: Source of randomness.
        """

    @abstractmethod
    def posterior(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        condition: Float[Tensor, "B F"],
        k: Int[Tensor, " B"],
        eta: float,
    ) -> tuple[Float[Tensor, "B Ta Da"], Float[Tensor, "..."]]:
        """Returns mean and standard deviation of p(a_{k-1} | a_k, s).

        Args:
            chunk: a_k.
            condition: What ``encode`` returned.
            k: Denoising step of each row, K (noise) to 1.
            eta: Scale of the standard deviation.
        """

    def encode(self, observation: Observation) -> Float[Tensor, "B F"]:
        """Returns the features that condition the denoiser."""
        state = self.normalizer.state(observation)
        bf16 = self.bf16 and is_quick_at_bf16(state.device)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=bf16):
            features = self.encoder(state, observation)
        return features.to(state.dtype)

    @torch.no_grad()
    def sample(
        self, observation: Observation, noise: Float[Tensor, "B K1 Ta Da"]
    ) -> Float[Tensor, "B K1 Ta Da"]:
        """Returns the chain of the sampler for evaluation and collection, normalised.

        Noise is scaled by the temperature (low-temperature sampling, Ajay et al.,
        arXiv:2211.15657).

        Args:
            observation: Where to act.
            noise: Standard normal: a_K, then what a sampler that is not deterministic adds.
        """
        condition, eta = self.encode(observation), self.evaluation_eta
        noise = self.evaluation_temperature * noise
        chain = [noise[:, 0]]
        for i in range(self.num_chain_steps):
            mean, std = self.posterior(chain[-1], condition, self._k(i, noise), eta)
            drawn = std * noise[:, i + 1].clamp(-MAX_NOISE, MAX_NOISE) if eta else 0
            chain.append(mean + drawn)
        return torch.stack(chain, dim=1)

    @torch.no_grad()
    def explore(
        self, observation: Observation, noise: Float[Tensor, "B K1 Ta Da"]
    ) -> tuple[Float[Tensor, "B K1 Ta Da"], Float[Tensor, "B K Ts Da"]]:
        """Returns a chain sampled as in training, with the noise floor, and its log-densities.

        Args:
            observation: Where to act.
            noise: Standard normal: a_K, then the noise of each denoising step.
        """
        condition = self.encode(observation)
        chain, log_probs = [self.sampling_temperature * noise[:, 0]], []
        for i in range(self.num_chain_steps):
            k = self._k(i, noise)
            mean, std = self.posterior(chain[-1], condition, k, self.sampling_eta)
            floored = std.clamp(min=self.min_sampling_std)
            chain.append(mean + floored * noise[:, i + 1].clamp(-MAX_NOISE, MAX_NOISE))
            log_probs.append(self._density(mean, std, chain[-1]))
        return torch.stack(chain, dim=1), torch.stack(log_probs, dim=1)

    def draw_noise(
        self, num: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "B K1 Ta Da"]:
        """Returns what the samplers need for ``num`` decisions, on the CPU."""
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
        """Returns the log-densities of every denoising step, the noisiest first.

        As ``log_prob`` of each step, but every observation is encoded once.
        """
        num = self.num_chain_steps
        log_prob = self._log_prob(
            self.encode(observation).repeat_interleave(num, 0),
            chain[:, :-1].flatten(0, 1),
            chain[:, 1:].flatten(0, 1),
            torch.arange(num, 0, -1, device=chain.device).repeat(len(chain)),
        )
        return log_prob.unflatten(0, (len(chain), num))

    def _k(self, position: int, chain: Tensor) -> Tensor:
        """The denoising step that leads away from a position of the chain, for every row."""
        k = self.num_chain_steps - position
        return torch.full((len(chain),), k, device=chain.device)

    def _log_prob(self, condition: Tensor, chunk: Tensor, next_chunk: Tensor, k: Tensor) -> Tensor:
        return self._density(*self.posterior(chunk, condition, k, self.sampling_eta), next_chunk)

    def _density(self, mean: Tensor, std: Tensor, next_chunk: Tensor) -> Tensor:
        std = std.clamp(min=self.min_log_prob_std)
        # Actions that are predicted but not executed influence nothing.
        executed = slice(self.config.action_steps)
        density = torch.distributions.Normal(mean[:, executed], std, validate_args=False)
        return density.log_prob(next_chunk[:, executed]).clamp(min=MIN_LOG_PROB)
