"""One run of the chain: its configuration, its folders, and which stages are finished."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from rl_datagen.config import Config, stored_config
from rl_datagen.core.compare import difference_lines
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.progress import Progress
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import remove_temporaries, write_json, write_text
from rl_datagen.core.stored import read_bytes
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.pipeline import engine
from rl_datagen.pipeline.engine import Markers, Summary
from rl_datagen.pipeline.sentences import sentence
from rl_datagen.tasks import Task, get_task

if TYPE_CHECKING:
    from rl_datagen.sim import Scene

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
COMPILES = "on a new machine the simulator is compiled first, for a minute or more"
"""Said where that may happen."""
_SHORT = 200
"""Env steps of a demonstration that is short."""
_MAY_CHANGE = ("algo.gamma", "algo.num_iterations", "algo.patience")


@dataclass(frozen=True)
class Run:
    """One run of the chain.

    Attributes:
        config: The configuration; a run continues only under the one it began with.
        progress: Told how far the run is.
        is_watched: Whether it is worth telling what an iteration of learning is at.
    """

    config: Config
    progress: Progress
    is_watched: ClassVar[bool] = True

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

    @property
    def owned(self) -> tuple[Path, ...]:
        """Its folders that are not datasets."""
        experts = (self.warm_expert, self.polished, self.expert)
        return (self.folder, *experts, self.evaluation("before"), self.evaluation("after"))

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
        length = self.markers.summary("demonstrations", "length_mean")["length_mean"]
        return min(benchmark, round(factor * length))

    @property
    def markers(self) -> Markers:
        """Which stages are finished."""
        made = {
            "demonstrations": self.demos,
            "warm_start": self.warm_expert,
            "dppo": self.expert,
            "polish_before": self.polished,
            "polish_after": self.expert,
            "collect": self.dataset,
            "report": self.folder / "index.html",
        }
        after = {ORDER[0]: ()} | {stage: (before,) for before, stage in pairwise(ORDER)}
        return Markers(lambda stage: self.folder / "stages" / f"{stage}.json", after, made)

    def should_stop(self, row: dict[str, Any]) -> bool:
        """Whether learning ends with this row of the learning curve; a campaign has budgets."""
        return False

    def bind(self) -> None:
        """Writes configuration and provenance, or checks that the folder has the same.

        How long an expert learns, and how much time counts, may change until there is a dataset of
        it: learning goes on.

        Raises:
            ConfigError: The folder belongs to another configuration.
            UserError: What says so is damaged.
        """
        for folder in self.owned:
            remove_temporaries(folder)
        path = self.folder / "config.yaml"
        settings = self.settings
        if not (path.exists() or any(map(self.markers.is_done, ORDER))):
            write_json(self.folder / "provenance.json", provenance())
            write_text(path, yaml.safe_dump(settings, sort_keys=False))
            return
        there = _read_settings(path, f"Restore it, or add --fresh to make {self.folder} again.")
        free = () if self.dataset.exists() else _MAY_CHANGE
        if lines := difference_lines(there, settings, free):
            raise ConfigError(
                f"{self.folder} belongs to another configuration: {'; '.join(lines)}. "
                "Nothing was changed. Choose another name with name=..., or add --fresh to delete "
                f"that run's outputs and start over. {', '.join(_MAY_CHANGE)} may differ until the "
                "expert has collected."
            )
        if there != settings:
            self.markers.forget("dppo")
            write_text(path, yaml.safe_dump(settings, sort_keys=False))

    def clear(self) -> None:
        """Deletes everything a run of this name has written."""
        for folder in (*self.owned, self.demos, self.dataset):
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


class AttemptCounter:
    """Tells the progress how many attempts there were, and how many succeeded.

    Args:
        progress: Told of each.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._attempts, self._successes = progress, 0, 0

    def each(self, trajectory: Trajectory) -> None:
        """Counts an attempt."""
        self._count(trajectory, 1)

    def until(self, num_episodes: int) -> Callable[[Trajectory], None]:
        """Returns what counts successes; more may come than are needed, side by side."""
        missing = num_episodes

        def on_episode(trajectory: Trajectory) -> None:
            nonlocal missing
            needed = int(missing > 0 and trajectory.success)
            missing -= needed
            self._count(trajectory, needed)

        return on_episode

    def _count(self, trajectory: Trajectory, units: int) -> None:
        self._attempts += 1
        self._successes += trajectory.success
        self._progress.advance(units, f"{self._successes} of {self._attempts} succeeded")


def _read_settings(path: Path, advice: str) -> dict[str, Any]:
    """Reads a configuration; a setting that is newer than the file has its default."""
    content = read_bytes(path, advice)
    return stored_config(content, str(path), Config, advice).model_dump(mode="json")


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
    run.bind()
    bound = {name: partial(function, run) for name, function in stages.items()}
    engine.run_stages(bound, run.markers, run.progress, sentence)
