"""MLflow: a campaign's experiment with a run per task, and one with a run per VLA."""

import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl_datagen.core.errors import first_line, require

logger = logging.getLogger(__name__)

_NAME = "name"  # the tag that tells runs apart
_SECONDS_BETWEEN_TRIES = 60.0


def make_mlflow_tracker(
    uri: str | None, folder: Path, experiment: str, metrics: Sequence[str]
) -> "MlflowTracker":
    """Returns a tracker: of MLFLOW_TRACKING_URI, else ``uri``, else an SQLite file in ``folder``.

    Args:
        uri: MLflow's tracking URI, if one is configured.
        folder: Holds the SQLite file and its artifacts.
        experiment: Name of the experiment.
        metrics: What is logged of a report.
    """
    require("mlflow")  # said before the training, and not what it resumes without
    uri = os.environ.get("MLFLOW_TRACKING_URI") or uri
    if uri:
        return MlflowTracker(uri, experiment, metrics)
    folder = folder.absolute()
    artifacts = (folder / "mlartifacts").as_uri()
    return MlflowTracker(f"sqlite:///{folder}/mlflow.db", experiment, metrics, artifacts)


class MlflowTracker:
    """What happens to the runs of an experiment, in MLflow.

    While the server is down nothing waits for it and nothing is lost: what could not be logged is
    logged when it answers again, or by a later call. Other people can change what is tracked: an
    experiment that was deleted is restored, one that is gone for good is made anew, and a run that
    was deleted stays so.

    Args:
        uri: MLflow's tracking URI.
        experiment: Its name.
        metrics: What is logged of a report.
        artifacts: Where a new experiment keeps its artifacts; None leaves it to the server.
    """

    def __init__(
        self, uri: str, experiment: str, metrics: Sequence[str], artifacts: str | None = None
    ) -> None:
        self.uri, self._experiment, self._artifacts = uri, experiment, artifacts
        self._metrics = metrics
        self._client: Any = None
        self._experiment_id = ""
        self._runs: dict[str, str] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._next_try, self._down = 0.0, False
        self._opened: dict[str, Mapping[str, Any]] = {}  # parameters, by name
        self._refused: set[str] = set()

    def open(self, names: Sequence[str], parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Opens a run for each name, the old one if there is one; returns the runs' ids."""
        self._opened |= dict.fromkeys(names, parameters)
        self._do(lambda: self._open(names))
        return dict(self._runs)

    def log(self, name: str, row: Mapping[str, Any]) -> None:
        """Logs what a report says of the metrics after ``iteration``."""
        metrics = {key: row[key] for key in self._metrics if row.get(key) is not None}
        stamp, step = int(time.time() * 1000), int(row.get("iteration", 0))

        def send() -> None:
            from mlflow.entities import Metric

            values = [Metric(key, float(value), stamp, step) for key, value in metrics.items()]
            self._client.log_batch(self._run(name), metrics=values)

        self._do(send)

    def status(self, name: str, status: str) -> None:
        """Sets a run's status, in MLflow's words."""
        self._do(lambda: self._client.update_run(self._run(name), status=status))

    def end(self, name: str, state: str, artifacts: Callable[[], Path] | None) -> None:
        """Closes a run, with the files of the folder that ``artifacts`` returns."""

        def close() -> None:
            run = self._run(name)
            self._client.set_tag(run, "state", state)
            for path in sorted(artifacts().glob("*")) if artifacts else ():
                if path.is_file() and path.suffix != ".log":
                    self._client.log_artifact(run, str(path), "expert")
            status = "FAILED" if state == "failed" else "FINISHED"
            self._client.set_terminated(run, status)

        self._do(close)

    def flush(self, *, force: bool = False) -> None:
        """Logs what waits, unless the server was down a moment ago."""
        if not force and time.monotonic() < self._next_try:
            return
        while self._waiting:
            try:
                self._attempt(self._waiting[0])
            except Exception as error:  # whatever it is, training is worth more than its log
                if not self._answers():
                    if not self._down:
                        self._warn("MLflow cannot be used, training goes on", error)
                    self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES
                    self._down = True
                    return
                self._refuse(error)
            self._waiting.popleft()
            self._down = False

    def _attempt(self, action: Callable[[], None]) -> None:
        """Does something, once more if the experiment had been deleted."""
        self._connect()
        with _quiet():
            try:
                action()
            except Exception:
                if not self._recover():
                    raise
                action()

    def _recover(self) -> bool:
        """Restores or replaces the experiment if it was deleted; returns whether it was."""
        from mlflow.exceptions import MlflowException

        try:
            stage = self._client.get_experiment(self._experiment_id).lifecycle_stage
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            stage = "gone"
        if stage == "active":
            return False
        self._client, self._runs = None, {}
        self._connect()
        self._open([name for name in self._opened if name not in self._runs])
        return True

    def _refuse(self, error: Exception) -> None:
        """Says once what was not logged and why; such as of a run that somebody deleted."""
        said = first_line(error)
        if said not in self._refused:
            self._refused.add(said)
            self._warn("MLflow has refused something, the rest goes on", error)

    def _answers(self) -> bool:
        """Whether it is this action alone that fails, such as for a run that somebody deleted."""
        try:
            return bool(self._client and self._client.search_experiments(max_results=1))
        except Exception:  # as above
            return False

    def _warn(self, what: str, error: Exception) -> None:
        logger.warning("%s uri=%s error=%s", what, self.uri, first_line(error))

    def _do(self, action: Callable[[], None]) -> None:
        self._waiting.append(action)
        self.flush()

    def _connect(self) -> None:
        if self._client:
            return
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        # The driver's loop must not wait for a server that is down.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        with _quiet():
            from mlflow import MlflowClient

            client: Any = MlflowClient(self.uri)
            self._experiment_id = self._find_experiment(client)
            self._runs |= dict(_named_runs(client, self._experiment_id))
            self._client = client

    def _find_experiment(self, client: Any) -> str:
        """Returns the experiment's id; makes it, or restores it, if it is not there."""
        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            return client.create_experiment(self._experiment, self._artifacts)
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
            logger.warning(
                "the experiment had been deleted in MLflow and was restored; delete it again when "
                "nothing logs to it any more uri=%s experiment=%s",
                self.uri,
                self._experiment,
            )
        return found.experiment_id

    def _run(self, name: str) -> str:
        """Returns a run's id.

        Raises:
            LookupError: It could not be opened.
        """
        if name not in self._runs:
            raise LookupError(f"there is no run '{name}'")
        return self._runs[name]

    def _open(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._runs:
                self._create(name)
            self._client.update_run(self._runs[name], status="SCHEDULED")

    def _create(self, name: str) -> None:
        run = self._client.create_run(self._experiment_id, tags={_NAME: name}, run_name=name)
        self._runs[name] = run.info.run_id
        for key, value in self._opened[name].items():
            self._client.log_param(run.info.run_id, key, value)


def _named_runs(client: Any, experiment_id: str) -> Iterator[tuple[str, str]]:
    """Yields name and id of each run of ours; somebody may have added others, or removed a tag."""
    token = None
    while True:
        runs = client.search_runs([experiment_id], max_results=1000, page_token=token)
        for run in runs:
            if _NAME in run.data.tags:
                yield run.data.tags[_NAME], run.info.run_id
        token = runs.token
        if not token:
            return


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the database layer's messages and MLflow's warnings about its own interior."""
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
