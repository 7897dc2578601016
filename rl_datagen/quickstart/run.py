"""One run of the chain: its configuration, its folders, and which stages are finished."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rl_datagen.config import Config, load_config
from rl_datagen.core.compare import difference_lines
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import write_json, write_text
from rl_datagen.runtime.progress import Progress
from rl_datagen.tasks import Task, get_task

if TYPE_CHECKING:
    from rl_datagen.sim import Scene

Summary = dict[str, Any]
ORDER = (
    "demonstrations",
    "warm_start",
    "evaluate_before",
    "polish_before",
    "dppo",
    "polish_after",
    "evaluate_after",
    "collect",
    "render",
    "report",
)
"""The stages; each is made from what those before it left."""
_SHORT = 200
"""Env steps of a demonstration that is short."""
_MAY_CHANGE = ("algo.gamma", "algo.num_iterations", "algo.patience")


@dataclass(frozen=True)
class Run:
    """One run of the chain.

    Attributes:
        config: The configuration; a run continues only under the one it began with.
        progress: Told how far the run is.
    """

    config: Config
    progress: Progress

    @property
    def folder(self) -> Path:
        """Configuration, provenance, stage markers and the page."""
        return self._output("runs")

    @property
    def demos(self) -> Path:
        """Dataset of the human and the amplified demonstrations."""
        return self._output("demos")

    @property
    def warm_expert(self) -> Path:
        """Expert folder after behaviour cloning."""
        return self._output("experts", self.config.task, suffix="-warm-start")

    @property
    def polished(self) -> Path:
        """Expert folder after the warm start was polished, which DPPO begins with."""
        return self._output("experts", self.config.task, suffix="-polished")

    @property
    def expert(self) -> Path:
        """Folder of the expert."""
        return self._output("experts", self.config.task)

    @property
    def dataset(self) -> Path:
        """The dataset."""
        return self._output("datasets")

    def evaluation(self, moment: str) -> Path:
        """Folder of the evaluation ``before`` or ``after`` DPPO."""
        return self._output("evaluations", suffix=f"-{moment}")

    def _output(self, *kind: str, suffix: str = "") -> Path:
        return Path(self.config.output_dir, *kind, self.config.name + suffix)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, JSON-ready."""
        return self.config.model_dump(mode="json")

    @property
    def task(self) -> Task:
        """The task."""
        return get_task(self.config.task)

    @cached_property
    def scene(self) -> "Scene":
        """Its compiled scene."""
        from rl_datagen.sim import load_scene  # only where simulators run

        return load_scene(self.task, **self.config.sim.scene())

    @cached_property
    def scale(self) -> int:
        """How many times the demonstrations and the gradient steps of a short task this one takes.

        A task of two parts takes more to clone, and its demonstration is longer.
        """
        from rl_datagen.demos import load_human_demonstration  # imports LIBERO

        return -(-len(load_human_demonstration(self.task).actions) // _SHORT)

    @property
    def time_limit(self) -> int | None:
        """Time limit while learning, env steps; None: the benchmark's."""
        factor = self.config.algo.time_limit_factor
        if factor is None:
            return self.config.sim.max_episode_steps
        benchmark = self.config.sim.max_episode_steps or self.task.max_episode_steps
        return min(benchmark, round(factor * self.summary("demonstrations")["length_mean"]))

    def finished(self, stage: str) -> bool:
        """Whether a stage has left its marker, and what it made is still there."""
        made = {
            "demonstrations": self.demos,
            "warm_start": self.warm_expert,
            "dppo": self.expert,
            "polish_before": self.polished,
            "polish_after": self.expert,
            "collect": self.dataset,
            "report": self.folder / "index.html",
        }
        return self._marker(stage).exists() and made.get(stage, self.folder).exists()

    def mark(self, stage: str, summary: Summary) -> None:
        """Leaves the marker of a finished stage."""
        write_json(self._marker(stage), summary)

    def should_stop(self, row: dict[str, Any]) -> bool:
        """Whether learning ends with this row of the learning curve; a campaign has budgets."""
        return False

    def forget(self, stage: str) -> None:
        """Removes the markers of a stage and of those after it, which have to run again."""
        for later in ORDER[ORDER.index(stage) :]:
            self._marker(later).unlink(missing_ok=True)

    def summary(self, stage: str) -> Summary:
        """Returns what a finished stage reported."""
        return json.loads(self._marker(stage).read_text("utf-8"))

    def _marker(self, stage: str) -> Path:
        return self.folder / "stages" / f"{stage}.json"

    def claim(self) -> None:
        """Writes configuration and provenance, or checks that the folder has the same.

        How long an expert learns, and how much time counts, may change until there is a dataset of
        it: learning goes on.

        Raises:
            ConfigError: The folder belongs to another configuration.
        """
        path = self.folder / "config.yaml"
        settings = self.settings
        if not path.exists():
            write_json(self.folder / "provenance.json", provenance())
            write_text(path, yaml.safe_dump(settings, sort_keys=False))
            return
        there = _read_settings(path)
        free = () if self.dataset.exists() else _MAY_CHANGE
        if lines := difference_lines(there, settings, free):
            raise ConfigError(
                f"{self.folder} belongs to another configuration: {'; '.join(lines)}. "
                "Nothing was changed. Choose another name with name=..., or add --fresh to delete "
                f"that run's outputs and start over. {', '.join(_MAY_CHANGE)} may differ until the "
                "expert has collected."
            )
        if there != settings:
            self.forget("dppo")
            write_text(path, yaml.safe_dump(settings, sort_keys=False))

    def clear(self) -> None:
        """Deletes everything a run of this name has written."""
        owned = (
            self.folder,
            self.demos,
            self.warm_expert,
            self.polished,
            self.expert,
            self.dataset,
            self.evaluation("before"),
            self.evaluation("after"),
        )
        for folder in owned:
            if folder.exists():
                shutil.rmtree(folder)


def report_updates(progress: Progress) -> Callable[[int, dict[str, Any]], None]:
    """Returns what tells the progress of cloning, by gradient steps."""
    done = 0

    def report(update: int, metrics: dict[str, Any]) -> None:
        nonlocal done
        progress.advance(update - done, f"loss {metrics['train_loss']:.4f}")
        done = update

    return report


def _read_settings(path: Path) -> dict[str, Any]:
    """Reads a configuration; a setting that is newer than the file has its default."""
    return load_config(base=path).model_dump(mode="json")


def run_stages(
    run: Run, stages: Mapping[str, Callable[[Run], Summary]], *, fresh: bool = False
) -> None:
    """Runs those of these stages that are not finished yet.

    Args:
        run: The run.
        stages: Some of those in ``ORDER``, by name.
        fresh: Delete what an earlier run of this name left, and start over.

    Raises:
        ConfigError: The output folder belongs to another configuration.
    """
    if fresh:
        run.clear()
    run.claim()
    for stage, function in stages.items():
        if run.finished(stage):
            summary = run.summary(stage)
            run.progress.finish(stage, f"already done: {_line(summary)}", summary["seconds"])
            continue
        run.forget(stage)  # and what was made from the old result
        begin = time.monotonic()
        summary = function(run)
        summary["seconds"] = round(time.monotonic() - begin, 1)
        run.mark(stage, summary)
        run.progress.finish(stage, _line(summary), summary["seconds"])


def _line(summary: Summary) -> str:
    pairs = [(key, value) for key, value in summary.items() if key != "seconds"]
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in pairs
    )
