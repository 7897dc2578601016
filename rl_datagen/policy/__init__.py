"""Networks that act: encoder, denoiser, schedule, critic, and experts on disk."""

from rl_datagen.policy.actor import ChunkActor
from rl_datagen.policy.base import ChunkPolicy
from rl_datagen.policy.critic import Critic
from rl_datagen.policy.diffusion import DiffusionPolicy
from rl_datagen.policy.expert import load_expert, load_policy, make_policy, save_expert
from rl_datagen.policy.gaussian import GaussianPolicy

__all__ = [
    "ChunkActor",
    "ChunkPolicy",
    "Critic",
    "DiffusionPolicy",
    "GaussianPolicy",
    "load_expert",
    "load_policy",
    "make_policy",
    "save_expert",
]
