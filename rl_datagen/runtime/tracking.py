"""Where runs are tracked: in MLflow, in Weights & Biases, or in both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rl_datagen.runtime.tracking_mlflow import MlflowTracker, make_mlflow_tracker
from rl_datagen.runtime.tracking_wandb import WandbTracker

TRACKERS = ("mlflow", "wandb")
"""What can be asked for."""
CAMPAIGN_METRICS = (
    "success_rate",
    "episode_len_mean",
    "num_env_steps_lifetime",
    "env_steps_per_second",
    "policy_loss",
    "vf_loss",
    "explained_variance",
    "approx_kl",
    "clip_fraction",
    "lr",
    "evaluation_success_rate",
    "success_rate_before",
    "success_rate_after",
    "seconds",
)


class Tracker(Protocol):
    """What happens to the runs of an experiment, told to whoever keeps it.

    None of them ever ends or delays what it tracks.
    """

    def open(self, names: Sequence[str], parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Opens a run for each name, the old one if there is one; returns ids, if it has any."""
        ...

    def log(self, name: str, row: Mapping[str, Any]) -> None:
        """Logs what a report says of the metrics after ``iteration``."""
        ...

    def status(self, name: str, status: str) -> None:
        """Sets a run's status, in MLflow's words."""
        ...

    def end(self, name: str, state: str, artifacts: Callable[[], Path] | None) -> None:
        """Closes a run, with the files of the folder that ``artifacts`` returns."""
        ...

    def flush(self, *, force: bool = False) -> None:
        """Sends what waits."""
        ...


class Several:
    """Trackers that are told the same.

    Args:
        trackers: They.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    @property
    def mlflow_uri(self) -> str | None:
        """MLflow's tracking URI, if it is one of them."""
        return next((each.uri for each in self._trackers if isinstance(each, MlflowTracker)), None)

    def open(self, names: Sequence[str], parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Opens a run for each name; returns ids, of those that have any."""
        ids: dict[str, str] = {}
        for each in self._trackers:
            ids |= each.open(names, parameters)
        return ids

    def log(self, name: str, row: Mapping[str, Any]) -> None:
        """Logs a report."""
        for each in self._trackers:
            each.log(name, row)

    def status(self, name: str, status: str) -> None:
        """Sets a run's status."""
        for each in self._trackers:
            each.status(name, status)

    def end(self, name: str, state: str, artifacts: Callable[[], Path] | None) -> None:
        """Closes a run."""
        for each in self._trackers:
            each.end(name, state, artifacts)

    def flush(self, *, force: bool = False) -> None:
        """Sends what waits."""
        for each in self._trackers:
            each.flush(force=force)


def make_trackers(
    kinds: Sequence[str],
    experiment: str,
    metrics: Sequence[str],
    folder: Path,
    mlflow_uri: str | None = None,
) -> Several:
    """Returns trackers of these kinds.

    Args:
        kinds: Some of ``TRACKERS``; one that is named twice counts once.
        experiment: Name of MLflow's experiment, of W&B's project.
        metrics: What is logged of a report.
        folder: Where those that keep files keep them.
        mlflow_uri: MLflow's server, unless MLFLOW_TRACKING_URI names one; None: a file in
            ``folder``.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    trackers: list[Tracker] = []
    for kind in dict.fromkeys(kinds):
        if kind == "mlflow":
            trackers.append(make_mlflow_tracker(mlflow_uri, folder, experiment, metrics))
        else:
            trackers.append(WandbTracker(experiment, metrics, folder))
    return Several(trackers)


@contextmanager
def tracked(tracker: Tracker, name: str, folder: Path) -> Iterator[None]:
    """A run that ends with the body, as finished, with a folder's files, or as failed."""
    tracker.status(name, "RUNNING")
    try:
        yield
    except BaseException:
        tracker.end(name, "failed", None)
        tracker.flush(force=True)
        raise
    tracker.end(name, "finished", lambda: folder)
    tracker.flush(force=True)
