"""Ray actors that step simulators and return complete episode batches."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_datagen.algo.live import Sampled
from rl_datagen.config import AlgoConfig
from rl_datagen.core.seeding import derive_seed

LIBERO_ENV = "libero"


@dataclass(frozen=True)
class Outcome:
    """How one episode went.

    Attributes:
        success: The goal was reached.
        num_env_steps: Its length.
        error: What the simulator died of; empty if it did not.
    """

    success: bool
    num_env_steps: int
    error: str


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes that one env runner started together, every one finished.

    Attributes:
        worker_index: The env runner.
        episodes: What the learner needs.
        outcomes: What the metrics need.
        metrics: RLlib's own.
        weights_version: The learner's updates that had made the weights it was sampled with.
        seconds_busy: Time it took.
        seconds_idle: Time the env runner had waited for it to be asked for.
    """

    worker_index: int
    episodes: list[SingleAgentEpisode]
    outcomes: list[Outcome]
    metrics: Any
    weights_version: int
    seconds_busy: float
    seconds_idle: float


class EpisodeBatchEnvRunner(SingleAgentEnvRunner):
    """Samples episode batches: so many episodes are started, and all of them are returned.

    Waiting for so many *finished* episodes would favour short ones. The environment therefore
    idles its simulators once the batch is started (``num_episodes`` of ``LiberoVectorEnv``).
    All randomness derives from (seed, batch, env runner): a restored run repeats itself.

    Attributes:
        sampled: The episodes that have ended in this process, if nobody else counts them.
    """

    _finished_at: float | None = None
    _weights_version: int | None = None  # none yet: RLlib's own counter says 0 in a new actor

    def __init__(self, **kwargs: Any) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # RLlib warns about its own interior
        self.sampled = Sampled()
        super().__init__(**kwargs)

    def make_env(self) -> None:
        """Makes the environment with this env runner's share of an iteration."""
        config: Any = self.config.copy(copy_frozen=False)
        sizes = batch_sizes(config.settings)
        position = max(0, (self.worker_index or 0) - 1)
        settings = {**config.env_config, "num_episodes": sizes[position]}
        if indices := settings.get("init_state_indices"):
            first = sum(sizes[:position]) % len(indices)  # each begins at another init state
            settings["init_state_indices"] = [*indices[first:], *indices[:first]]
        config.env_config = settings
        self.config = config
        self._num_episodes = sizes[position]
        super().make_env()

    def sample_batch(self, batch: int | str) -> EpisodeBatch:
        """Returns an episode batch; in ``sync`` mode the iteration is its name."""
        begin, index = time.monotonic(), self.worker_index or 0
        idle = 0.0 if self._finished_at is None else begin - self._finished_at
        self._seed = derive_seed("rollout", self.config.seed or 0, batch, index)
        torch.manual_seed(derive_seed("exploration", self._seed))
        episodes = self.sample(num_episodes=self._num_episodes, explore=True)
        outcomes = [_outcome(episode) for episode in episodes]
        self._finished_at = time.monotonic()
        return EpisodeBatch(
            index,
            episodes,
            outcomes,
            self.get_metrics(),
            self._weights_seq_no,
            seconds_busy=self._finished_at - begin,
            seconds_idle=idle,
        )

    def sample_with(self, batch: str, version: int, weights: dict[str, Any]) -> EpisodeBatch:
        """Returns a batch sampled with the weights in ``weights``, a state of an env runner."""
        if self._weights_version != version:
            self._weights_version = version
            self.set_state(weights)
        return self.sample_batch(batch)


def batch_sizes(settings: AlgoConfig) -> list[int]:
    """Returns how many episodes each env runner starts at once.

    In ``sync`` mode together an iteration, split as evenly as possible. In ``streaming`` mode one
    per simulator: the smallest episode batch that uses them all, so weights are fresh.
    """
    num = max(1, settings.num_env_runners)
    if settings.mode == "streaming":
        return [settings.num_envs_per_env_runner] * num
    share, rest = divmod(settings.num_episodes_per_iteration, num)
    return [share + (index < rest) for index in range(num)]


def make_libero_env(context: dict[str, Any]) -> Any:
    """Returns the ``LiberoVectorEnv`` of one env runner; RLlib calls it in the actor.

    Args:
        context: ``task`` and the other arguments of ``LiberoVectorEnv``.
    """
    from rl_datagen.sim import LiberoVectorEnv  # only where simulators run
    from rl_datagen.tasks import get_task

    settings = dict(context)
    return LiberoVectorEnv(get_task(settings.pop("task")), **settings)


def _outcome(episode: SingleAgentEpisode) -> Outcome:
    info = episode.get_infos(-1)
    return Outcome(bool(info["success"]), int(info["num_env_steps"]), str(info["error"]))
