"""A policy over chunks as an actor in episodes."""

# Legend: N episodes, Ts action steps, Da action dim.

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from rl_datagen.core.errors import UserError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.policy.base import ChunkPolicy


class ChunkActor:
    """Acts with the evaluation sampler from noise that each episode draws for itself.

    An episode's noise depends on its seed and on how often it was asked to act, and on nothing
    else: which episodes share a batch makes no difference.

    Args:
        policy: The policy; put into evaluation mode.
        explore: Sample as in training, with noise at every denoising step.
        appearance: How the textures of the images it was trained on were coloured; None: unknown.
        task: Task it is an expert of; None: unknown.

    Attributes:
        action_steps: Actions that each call returns.
        image_size: Height and width of the images it looks at; None in state mode.
        rendering: How they are drawn.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        *,
        explore: bool = False,
        appearance: str | None = None,
        task: str | None = None,
    ) -> None:
        self.policy = policy.eval()
        self.action_steps = policy.config.action_steps
        pixels = policy.config.mode == "pixel"
        self.image_size = policy.config.image_size if pixels else None
        self._explore, self.appearance, self.task = explore, appearance, task
        self.rendering = policy.config.rendering
        self._generators: dict[int, torch.Generator] = {}
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """Begins anew for ``predict``, with the noise of a seed."""
        self._seed = seed
        self._generators.clear()

    def predict(
        self, observation: dict[str, np.ndarray]
    ) -> Float32[np.ndarray, "Ts Da"] | Float32[np.ndarray, "N Ts Da"]:
        """Returns the actions to execute next, in an environment or in each of a vector's.

        Args:
            observation: As an environment, or a vector environment, gives it.

        Raises:
            UserError: It lacks what the policy looks at.
        """
        if missing := [key for key in self.policy.observation_keys if key not in observation]:
            raise UserError(
                f"The policy looks at {', '.join(missing)}, which the observation lacks. Make the "
                f"environment with mode='pixel', image_size={self.image_size}, "
                f"rendering='{self.rendering}'."
            )
        single = observation["proprio"].ndim == 1
        rows = {key: value[None] if single else value for key, value in observation.items()}
        episodes = range(len(rows["proprio"]))
        for episode in episodes:
            if episode not in self._generators:
                self.start(episode, None, derive_seed("predict", self._seed, episode))
        actions = self.act(rows, episodes)
        return actions[0] if single else actions

    def start(self, episode: int, simulator: Any, seed: int) -> None:
        """Begins an episode.

        Args:
            episode: The caller's number of the episode.
            simulator: Where it happens; a learnt policy does not look inside.
            seed: Seed of the episode's noise.
        """
        self._generators[episode] = torch.Generator().manual_seed(seed)

    def act(
        self, observation: dict[str, np.ndarray], episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N Ts Da"]:
        """Returns the actions to execute next.

        Args:
            observation: Stacked observations, one row per episode.
            episodes: The episode each row belongs to.
        """
        noise = [self.policy.draw_noise(1, self._generators[episode]) for episode in episodes]
        rows = {key: torch.as_tensor(value) for key, value in observation.items()}
        with torch.inference_mode():
            if self._explore:
                chain, _ = self.policy.explore(rows, torch.cat(noise))
            else:
                chain = self.policy.sample(rows, torch.cat(noise))
            return self.policy.actions(chain).numpy()
