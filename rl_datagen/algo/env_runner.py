"""Ray actors that step simulators and return complete cohorts of episodes."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

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
class Cohort:
    """All episodes that one env runner started for one iteration, every one finished.

    Attributes:
        worker_index: The env runner.
        episodes: What the learner needs.
        outcomes: What the metrics need.
        metrics: RLlib's own.
    """

    worker_index: int
    episodes: list[SingleAgentEpisode]
    outcomes: list[Outcome]
    metrics: Any


class CohortEnvRunner(SingleAgentEnvRunner):
    """Samples cohorts: so many episodes are started, and all of them are returned.

    Waiting for so many *finished* episodes would favour short ones. The environment therefore
    parks its simulators once the cohort is started (``num_episodes`` of ``LiberoVectorEnv``).
    All randomness derives from (seed, iteration, env runner): a restored run repeats itself.
    """

    def __init__(self, **kwargs: Any) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # RLlib warns about its own interior
        super().__init__(**kwargs)

    def make_env(self) -> None:
        """Makes the environment with this env runner's share of an iteration."""
        config: Any = self.config.copy(copy_frozen=False)
        sizes = cohort_sizes(config.settings.num_episodes_per_iteration, config.num_env_runners)
        position = max(0, (self.worker_index or 0) - 1)
        settings = {**config.env_config, "num_episodes": sizes[position]}
        if indices := settings.get("init_state_indices"):
            first = sum(sizes[:position]) % len(indices)  # each begins at another init state
            settings["init_state_indices"] = [*indices[first:], *indices[:first]]
        config.env_config = settings
        self.config = config
        self._num_episodes = sizes[position]
        super().make_env()

    def sample_cohort(self, iteration: int) -> Cohort:
        """Returns the cohort of an iteration."""
        index = self.worker_index or 0
        self._seed = derive_seed("rollout", self.config.seed or 0, iteration, index)
        torch.manual_seed(derive_seed("exploration", self._seed))
        episodes = self.sample(num_episodes=self._num_episodes, explore=True)
        outcomes = [_outcome(episode) for episode in episodes]
        return Cohort(index, episodes, outcomes, self.get_metrics())


def cohort_sizes(num_episodes: int, num_env_runners: int) -> list[int]:
    """Splits an iteration's episodes over the env runners, as evenly as possible."""
    share, rest = divmod(num_episodes, max(1, num_env_runners))
    return [share + (index < rest) for index in range(max(1, num_env_runners))]


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
