"""Networks that act: encoder, denoiser, schedule, critic, and experts on disk."""

from rl_datagen.policy.actor import DiffusionActor
from rl_datagen.policy.critic import Critic
from rl_datagen.policy.diffusion import DiffusionPolicy
from rl_datagen.policy.expert import load_expert, load_policy, save_expert

__all__ = [
    "Critic",
    "DiffusionActor",
    "DiffusionPolicy",
    "load_expert",
    "load_policy",
    "save_expert",
]
