"""From sampled episodes to one row per decision, with advantages."""

# Legend: B decisions, K denoising steps, Ta action horizon, Ts action steps, Da action dim.

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from rl_datagen.algo.cross_fit import cross_fitted_values
from rl_datagen.algo.losses import chunk_gae, explained_variance
from rl_datagen.algo.rl_module import CHAIN, CHAIN_LOG_PROB, LARGEST_STATE
from rl_datagen.core.errors import UserError

EXECUTED = "executed"
_CRITIC_BATCH = 4096  # states whose values are computed at once


class DecisionBatch(ConnectorV2):
    """Turns episodes into decisions: observation, chain, old log-densities, advantage, target.

    Replaces RLlib's whole learner pipeline. Advantages are normalised over all decisions of the
    iteration, which is less noisy than per minibatch. A critic that has learnt nothing yet is
    spared: two others judge, each the half of the episodes that the other learnt from.

    Args:
        gamma: Discount per decision.
        lambda_: GAE's lambda.
        bootstrap_at_time_limit: An episode that ran out of time was worth the value of its true
            final observation; otherwise nothing.
        device: Where the batch goes.
    """

    def __init__(
        self,
        *,
        gamma: float,
        lambda_: float,
        bootstrap_at_time_limit: bool,
        device: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._gamma, self._lambda, self._device = gamma, lambda_, device
        self._bootstrap = bootstrap_at_time_limit

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: list[Any],
        explore: bool | None = None,
        shared_data: dict[str, Any] | None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns ``{module id: columns}``.

        Raises:
            UserError: An observation or reward is not finite.
        """
        del batch, explore, shared_data, kwargs
        module = rl_module[DEFAULT_MODULE_ID].unwrapped()
        observations = [episode.get_observations() for episode in episodes]
        self._check_finite(observations)
        rewards = [self._rewards(episode) for episode in episodes]
        if module.critic.fitted or len(episodes) == 1:
            values = self._values(module, observations)
            advantages, targets = self._advantages(episodes, rewards, values)
        else:
            returns = [chunk_gae(r, np.zeros(len(r) + 1), True, self._gamma, 1.0) for r in rewards]
            values = cross_fitted_values(module.critic, observations, returns, seed=len(episodes))
            advantages, _ = self._advantages(episodes, rewards, values)
            targets = np.concatenate(returns)
        columns: dict[str, Any] = {
            Columns.OBS: {
                key: self._tensor([rows[key][:-1] for rows in observations])
                for key in observations[0]
            },
            EXECUTED: self._tensor([_executed(episode) for episode in episodes]),
            Postprocessing.ADVANTAGES: self._tensor([_normalized(advantages)]),
            Postprocessing.VALUE_TARGETS: self._tensor([targets]),
        }
        for name in (CHAIN, CHAIN_LOG_PROB):
            columns[name] = self._tensor([e.get_extra_model_outputs(name) for e in episodes])
        if metrics is not None:
            before = np.concatenate([value[:-1] for value in values])
            for name, value in _batch_metrics(episodes, before, targets).items():
                metrics.log_value((DEFAULT_MODULE_ID, name), value, window=1)
        return {DEFAULT_MODULE_ID: columns}

    def _values(self, module: Any, observations: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
        """V(s) of every observation of every episode, the true final ones included."""
        rows = {
            key: self._tensor([item[key] for item in observations])
            for key, value in observations[0].items()
            if value.dtype.kind == "f"  # the critic does not look at images
        }
        num = len(next(iter(rows.values())))
        with torch.no_grad():
            parts = [
                module.compute_values(
                    {Columns.OBS: {k: v[i : i + _CRITIC_BATCH] for k, v in rows.items()}}
                )
                for i in range(0, num, _CRITIC_BATCH)
            ]
        values = torch.cat(parts).cpu().numpy()
        ends = np.cumsum([len(next(iter(item.values()))) for item in observations])
        return np.split(values, ends[:-1])

    def _check_finite(self, observations: list[dict[str, np.ndarray]]) -> None:
        for key, value in observations[0].items():
            if value.dtype.kind == "f" and not all(np.isfinite(o[key]).all() for o in observations):
                raise UserError(
                    f"A sampled '{key}' holds NaN or infinity: a simulator diverged. Nothing was "
                    "learnt from it; continue from the last checkpoint."
                )

    def _rewards(self, episode: SingleAgentEpisode) -> np.ndarray:
        """Rewards of an episode's decisions; what success cut off the last chunk is a discount.

        A whole chunk is one discount, so success after a half of it is worth half a discount more.
        """
        rewards = np.array(episode.get_rewards(), np.float32)
        executed = _executed(episode)[-1]
        rewards[-1] *= self._gamma ** (executed.mean() - 1)
        return rewards

    def _advantages(
        self,
        episodes: list[SingleAgentEpisode],
        rewards: list[np.ndarray],
        values: list[np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        advantages = [
            chunk_gae(
                reward,
                value,
                bool(episode.is_terminated) or not self._bootstrap,
                self._gamma,
                self._lambda,
            )
            for episode, reward, value in zip(episodes, rewards, values, strict=True)
        ]
        targets = [a + value[:-1] for a, value in zip(advantages, values, strict=True)]
        return np.concatenate(advantages), np.concatenate(targets)

    def _tensor(self, parts: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(self._device)


def _executed(episode: SingleAgentEpisode) -> np.ndarray:
    """Which env steps of each chunk were executed: success cuts the last chunk short."""
    actions = episode.get_actions()
    decisions, steps = actions.shape[:2]
    executed = np.ones((decisions, steps), bool)
    last = episode.get_infos(-1)["num_env_steps"] - (decisions - 1) * steps
    executed[-1, int(last) :] = False
    return executed


def _normalized(advantages: np.ndarray) -> np.ndarray:
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def _batch_metrics(
    episodes: list[SingleAgentEpisode], before: np.ndarray, targets: np.ndarray
) -> dict[str, float]:
    largest = max(float(np.max(e.get_extra_model_outputs(LARGEST_STATE))) for e in episodes)
    return {
        "explained_variance": explained_variance(before, targets),
        "episodes_in_batch": len(episodes),
        "init_states_in_batch": len(set(_init_states(episodes))),
        "largest_normalized_state": largest,
    }


def _init_states(episodes: list[SingleAgentEpisode]) -> Iterator[tuple[int, int]]:
    for episode in episodes:
        info = episode.get_infos(-1)
        yield int(info["init_state_index"]), int(info["seed"])
