"""The noise schedule, and p(a_{k-1} | a_k, s) for a batch of mixed denoising steps."""

# Legend: B batch, K denoising steps, Ta action horizon, Da action dim; k runs from K down to 1.

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

MAX_NOISE = 3.0
"""Sampling noise is clamped here, in standard deviations (DPPO, arXiv:2409.00588)."""


class DenoisingSchedule(nn.Module):
    """Cosine betas, and K evenly spaced steps down from noise.

    The K steps sit in the middle of K equal parts of the training steps (90, 70, 50, 30, 10 of
    100). Starting at the last one would waste a step, since its clean chunk is noise divided by
    nearly nothing; ending at the first one would waste a step, since the network hardly moves it.

    Args:
        num_train_timesteps: Noise levels the denoiser is trained on.
        num_denoising_steps: K.
    """

    def __init__(self, num_train_timesteps: int, num_denoising_steps: int) -> None:
        super().__init__()
        alphas = torch.cumprod(1 - _cosine_betas(num_train_timesteps), dim=0)
        stride = num_train_timesteps // num_denoising_steps
        timesteps = torch.arange(num_denoising_steps) * stride + stride // 2  # position k - 1
        previous = torch.cat([torch.ones(1), alphas[timesteps[1:] - stride]])
        self._alphas: Tensor
        self._timesteps: Tensor
        self._alpha: Tensor
        self._alpha_previous: Tensor
        self.register_buffer("_alphas", alphas, persistent=False)
        self.register_buffer("_timesteps", timesteps, persistent=False)
        self.register_buffer("_alpha", alphas[timesteps], persistent=False)
        self.register_buffer("_alpha_previous", previous, persistent=False)
        self.num_train_timesteps, self.num_denoising_steps = (
            num_train_timesteps,
            num_denoising_steps,
        )

    def timestep(self, k: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Returns the training timestep of denoising step ``k``."""
        return self._timesteps[k - 1]

    def add_noise(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        noise: Float[Tensor, "B Ta Da"],
        timestep: Int[Tensor, " B"],
    ) -> Float[Tensor, "B Ta Da"]:
        """Returns the clean chunk at the noise level of ``timestep``."""
        alpha = self._alphas[timestep][:, None, None]
        return alpha.sqrt() * chunk + (1 - alpha).sqrt() * noise

    def posterior(
        self,
        predicted_noise: Float[Tensor, "B Ta Da"],
        chunk: Float[Tensor, "B Ta Da"],
        k: Int[Tensor, " B"],
        eta: float,
    ) -> tuple[Float[Tensor, "B Ta Da"], Float[Tensor, "B 1 1"]]:
        """Returns mean and standard deviation of p(a_{k-1} | a_k, s).

        DDIM (Song et al., arXiv:2010.02502, Eqs. 12 and 16) with the clean chunk clamped to
        [-1, 1] and the noise recomputed from it. ``eta=0`` is deterministic; ``eta=1`` with as
        many denoising as training steps is DDPM.

        Args:
            predicted_noise: The denoiser's output.
            chunk: a_k.
            k: Denoising step of each row, K (noise) to 1.
            eta: Scale of the standard deviation.
        """
        alpha = self._alpha[k - 1][:, None, None]
        previous = self._alpha_previous[k - 1][:, None, None]
        clean = (chunk - (1 - alpha).sqrt() * predicted_noise) / alpha.sqrt()
        clean = clean.clamp(-1, 1)
        noise = (chunk - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        variance = (1 - previous) / (1 - alpha) * (1 - alpha / previous)
        std = eta * variance.sqrt()
        mean = previous.sqrt() * clean + (1 - previous - std**2).clamp(min=0).sqrt() * noise
        return mean, std


def _cosine_betas(num_train_timesteps: int) -> Float[Tensor, " T"]:
    """Returns what each noise level adds (Nichol and Dhariwal, arXiv:2102.09672, Eq. 17).

    The numbers are those of diffusers' ``squaredcos_cap_v2``, bit for bit. Importing its scheduler
    takes each process that samples longer than PyTorch itself.
    """
    rest = [
        math.cos((t / num_train_timesteps + 0.008) / 1.008 * math.pi / 2) ** 2
        for t in range(num_train_timesteps + 1)
    ]
    betas = [min(1 - after / before, 0.999) for before, after in itertools.pairwise(rest)]
    return torch.tensor(betas, dtype=torch.float32)
