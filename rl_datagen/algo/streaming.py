"""Sampling without a barrier: the learner takes batches of episodes as env runners finish them."""

import time
from collections import deque
from collections.abc import Iterable, Sequence

import ray
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from rl_datagen.algo.env_runner import EpisodeBatch
from rl_datagen.config import AlgoConfig

MAX_REQUESTS_IN_FLIGHT = 2
"""Batches asked of an env runner before it has delivered: one to sample, and one to go on with.
More would only make its weights older."""

_POLL_S = 0.05
_TAG = "batch"


class BatchStream:
    """Asks env runners for batches and hands out those that are fresh enough.

    Each is complete, so short episodes are not favoured. Each request brings the newest
    weights along: an env runner that was restarted, or never heard of some weights, has the right
    ones all the same.

    Args:
        env_runners: Who samples.
        settings: ``num_episodes_per_iteration``, ``max_policy_lag`` and ``sample_timeout_s``.

    Attributes:
        num_dropped: Episodes of batches that were too old.
    """

    def __init__(self, env_runners: EnvRunnerGroup, settings: AlgoConfig) -> None:
        self.num_dropped = 0
        self._env_runners, self._settings = env_runners, settings
        self._arrived: deque[EpisodeBatch] = deque()
        self._num_polls = 0

    def take(self, weights: ray.ObjectRef, version: int) -> list[EpisodeBatch]:
        """Returns batches with an iteration's episodes or slightly more, as soon as they are there.

        Args:
            weights: State of an env runner that is asked from now on.
            version: The updates that made these weights, from which the lag is counted.

        Raises:
            RuntimeError: No env runner delivers.
        """
        taken: list[EpisodeBatch] = []
        last_arrival = time.monotonic()
        while (
            sum(len(batch.outcomes) for batch in taken) < self._settings.num_episodes_per_iteration
        ):
            self._request(weights, version)
            if not self._arrived:
                self._arrived += self._poll()
                if self._arrived:
                    last_arrival = time.monotonic()
                self._check_alive(last_arrival)
                continue
            batch = self._arrived.popleft()
            if version - batch.weights_version > self._settings.max_policy_lag:
                self.num_dropped += len(batch.outcomes)
            else:
                taken.append(batch)
        self._request(weights, version)
        return taken

    def _request(self, weights: ray.ObjectRef, version: int) -> None:
        """Fills every env runner's queue."""
        sent = 1
        while sent:
            self._num_polls += 1
            # Unique in the whole run: what a restored run repeats was never learnt from.
            batch = f"{version}-{self._num_polls}"
            sent = self._env_runners.foreach_env_runner_async(
                "sample_with",
                tag=_TAG,
                kwargs={"batch": batch, "version": version, "weights": weights},
            )

    def _poll(self) -> Iterable[EpisodeBatch]:
        ready = self._env_runners.fetch_ready_async_reqs(tags=_TAG, timeout_seconds=_POLL_S)
        return (batch for _, batch in ready)

    def _check_alive(self, last_arrival: float) -> None:
        timeout = self._settings.sample_timeout_s
        if not self._env_runners.num_healthy_remote_workers():
            self._env_runners.probe_unhealthy_env_runners()
        if time.monotonic() - last_arrival > timeout:
            raise RuntimeError(f"No env runner has returned a batch for {timeout} s.")


def policy_lag(batches: Sequence[EpisodeBatch], version: int) -> dict[str, float]:
    """Returns mean and maximum over episodes of the updates between their weights and these."""
    lags = [version - batch.weights_version for batch in batches for _ in batch.outcomes]
    return {"mean": sum(lags) / len(lags), "max": max(lags)}


def idle_fraction(batches: Sequence[EpisodeBatch]) -> float:
    """Returns the share of their time that simulators have waited to be asked for these batches."""
    idle = sum(batch.seconds_idle for batch in batches)
    return idle / (idle + sum(batch.seconds_busy for batch in batches))
