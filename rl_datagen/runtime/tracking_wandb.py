"""Weights & Biases. Source: ``wandb.init`` and ``Run.log`` of wandb 0.31."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_datagen.core.errors import first_line, require

logger = logging.getLogger(__name__)


class WandbTracker:
    """A project with a run for each name.

    What it cannot do is said once, and the training goes on without it.

    Args:
        project: Its name.
        metrics: What is logged of a report.
        folder: Where wandb keeps its files, in ``wandb/``.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """

    def __init__(self, project: str, metrics: Sequence[str], folder: Path) -> None:
        require("wandb")
        self._project, self._metrics, self._folder = project, metrics, folder
        self._parameters: dict[str, Mapping[str, Any]] = {}
        self._runs: dict[str, Any] = {}
        self._last: dict[str, int] = {}  # step of each run, which never goes back
        self._given_up = False

    def open(self, names: Sequence[str], parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Says which runs there will be; a run begins with the first thing that it is told."""
        self._parameters |= dict.fromkeys(names, parameters)
        return {}

    def log(self, name: str, row: Mapping[str, Any]) -> None:
        """Logs what a report says of the metrics after ``iteration``."""
        metrics = {key: float(row[key]) for key in self._metrics if row.get(key) is not None}
        step = max(int(row.get("iteration", 0)), self._last.get(name, 0))
        self._last[name] = step
        self._do(lambda: self._run(name).log(metrics, step=step))

    def status(self, name: str, status: str) -> None:
        """Begins a run; wandb knows no other status."""
        self._do(lambda: self._run(name))

    def end(self, name: str, state: str, artifacts: Callable[[], Path] | None) -> None:
        """Ends a run; its files stay where they are."""

        def finish() -> None:
            self._run(name).finish(exit_code=int(state == "failed"))
            del self._runs[name]

        self._do(finish)

    def flush(self, *, force: bool = False) -> None:
        """Nothing: wandb sends in the background, and at the end of the process what is left."""

    def _run(self, name: str) -> Any:
        if name not in self._runs:
            self._runs[name] = self._begin(name)
        return self._runs[name]

    def _begin(self, name: str) -> Any:
        import wandb  # takes a second, and few ask for it

        self._folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self._project,
            name=name,
            id=f"{self._project}-{name}".replace("/", "-").replace(" ", "-"),
            config=dict(self._parameters[name]),
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",  # a campaign has several at once
        )

    def _do(self, action: Callable[[], object]) -> None:
        if self._given_up:
            return
        try:
            action()
        except Exception as error:  # whatever it is, training is worth more than its log
            self._given_up = True
            said = first_line(error)
            logger.warning("wandb cannot be used, training goes on without it error=%s", said)
