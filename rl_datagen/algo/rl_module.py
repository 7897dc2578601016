"""A policy over chunks and its critic as an RLlib module."""

from typing import Any, Self

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from rl_datagen.config import Config
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import Critic, make_policy

CHAIN = "chain"
CHAIN_LOG_PROB = "chain_log_prob"
LARGEST_STATE = "largest_state"
CHUNK = "chunk"
NEXT_CHUNK = "next_chunk"
DENOISING_STEP = "k"
LOG_PROB = "log_prob"


class ChunkModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """Acts with whole chains and remembers their log-densities.

    ``model_config`` holds ``policy`` (settings), ``norm_stats``, ``critic_width``, ``precision``,
    ``compile`` and ``seed``, all JSON-ready, so that it reaches any machine of a cluster without a
    shared disk.
    """

    def setup(self) -> None:
        """Builds policy and critic, the same on every machine."""
        settings = self.model_config
        stats = NormStats.from_dict(settings["norm_stats"])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings["seed"])
            config = Config.model_validate({"policy": settings["policy"]})
            self.policy = make_policy(config.policy, stats, settings["precision"])
            self.critic = Critic(settings["critic_width"], stats)
        self._log_prob, self._chain_log_prob = self.policy.log_prob, self.policy.chain_log_prob
        # Env runners act uncompiled: they may be of another machine.
        if settings["compile"] and not self.inference_only:
            self._log_prob = torch.compile(self._log_prob, dynamic=True)
            self._chain_log_prob = torch.compile(self._chain_log_prob, dynamic=True)

    def train(self, mode: bool = True) -> Self:
        """Returns itself; RLlib asks for training mode before every minibatch, which takes time."""
        return self if self.training == mode else super().train(mode)

    def get_non_inference_attributes(self) -> list[str]:
        """Names what env runners need not hold."""
        return ["critic"]

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        del kwargs
        observation = batch[Columns.OBS]
        noise = self._noise(observation)
        chain, log_prob = self.policy.explore(observation, noise)
        return {
            Columns.ACTIONS: self.policy.actions(chain),
            CHAIN: chain,
            CHAIN_LOG_PROB: log_prob,
            LARGEST_STATE: self.policy.normalizer.largest(observation),
        }

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        del kwargs
        observation = batch[Columns.OBS]
        chain = self.policy.sample(observation, self._noise(observation))
        return {Columns.ACTIONS: self.policy.actions(chain)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        """Log-densities of whole chains or of single pairs, or values of states."""
        del kwargs
        if CHAIN in batch:
            return {LOG_PROB: self._chain_log_prob(batch[Columns.OBS], batch[CHAIN])}
        if CHUNK not in batch:
            return {Columns.VF_PREDS: self.compute_values(batch)}
        log_prob = self._log_prob(
            batch[Columns.OBS], batch[CHUNK], batch[NEXT_CHUNK], batch[DENOISING_STEP]
        )
        return {LOG_PROB: log_prob}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """Returns V(s) of each state."""
        del embeddings
        return self.critic(batch[Columns.OBS])

    def _noise(self, observation: dict[str, Tensor]) -> Tensor:
        first = next(iter(observation.values()))
        return self.policy.draw_noise(len(first)).to(first.device)
