"""Ablations: the same learning with one choice changed, over tasks and seeds (paper, Fig. 5).

A cell is an arm, a task and a seed. Demonstrations are shared by the cells of a task and seed, warm
starts by those of the same policy and cloning; what differs is only what an arm changes.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rl_datagen.config import DEFAULT_ARM, AblationConfig
from rl_datagen.core.progress import Progress, Silent
from rl_datagen.pipeline.engine import Markers, Summary, run_stages
from rl_datagen.pipeline.run import Run
from rl_datagen.runtime.executor import Job, Tell, execute
from rl_datagen.runtime.workdir import bind, lock_folder
from rl_datagen.tasks import Task

STAGES = ("demonstrations", "warm_start", "dppo")
_FREE = {"task", "arms", "num_seeds", "num_workers", "output_dir"}


@dataclass(frozen=True, order=True)
class Cell:
    """One run.

    Attributes:
        arm: Short name of its overlay.
        task: The task.
        seed: Counted from 0.
    """

    arm: str
    task: Task
    seed: int

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.arm} {self.task.id} seed {self.seed}"


@dataclass(frozen=True)
class CellRun(Run):
    """A run whose demonstrations and warm start other cells may share.

    Attributes:
        root: Folder of the ablation.
        cell: Which one.
    """

    root: Path
    cell: Cell

    @cached_property
    def base(self) -> Path:
        """What the cells of this task and seed have in common."""
        task = self.cell.task
        return self.root / "work" / f"{task.suite}-{task.index}-seed{self.cell.seed}"

    @cached_property
    def clone_name(self) -> str:
        """Equal for the cells that begin with the same warm start."""
        what = {key: self.settings[key] for key in ("policy", "warm_start", "sim", "demos")}
        return f"clone-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]}"

    def _output(self, *kind: str, suffix: str = "") -> Path:
        if kind[0] == "demos":
            return self.base / "demos"
        if suffix == "-warm-start":
            return self.base / self.clone_name
        return self.base / self.cell.arm / (kind[0] + suffix)

    @property
    def markers(self) -> Markers:
        """Which stages are finished, whichever cell ran them."""
        names = {"demonstrations": "demonstrations", "warm_start": self.clone_name}
        after = {"demonstrations": (), "warm_start": STAGES[:1], "dppo": STAGES[:2]}
        made = {"demonstrations": self.demos, "warm_start": self.warm_expert}

        def file(stage: str) -> Path:
            if stage == "dppo":
                return result_of(self.root, self.cell)
            return self.base / f"{names[stage]}.json"

        return Markers(file, after, made)


def result_of(folder: Path, cell: Cell) -> Path:
    """Returns the file with the learning curve of a finished cell."""
    name = f"{cell.task.suite}-{cell.task.index}-seed{cell.seed}.json"
    return folder / "results" / cell.arm / name


@dataclass(frozen=True)
class StageUnit:
    """A stage of a cell, on its way to a worker.

    Attributes:
        config: The ablation.
        cell: The cell.
        stage: Which of ``STAGES``.
    """

    config: AblationConfig
    cell: Cell
    stage: str

    def run(self, progress: Progress) -> CellRun:
        """Returns the cell's run."""
        cell = self.cell
        config = self.config.for_cell(cell.arm, cell.task, cell.seed)
        return CellRun(config, progress, self.config.folder.absolute(), cell)


class _StageJob(Job[Cell, StageUnit, None]):
    """One stage of all cells that do not share it."""

    num_in_process = 0
    noun = "runs"

    def __init__(self, config: AblationConfig, stage: str) -> None:
        self._config, self._stage = config, stage
        self.name, self.folder, self.num_workers = stage, config.folder, config.num_workers

    def keys(self) -> Sequence[Cell]:
        distinct: dict[Path, Cell] = {}
        for cell in cells_of(self._config):
            markers = StageUnit(self._config, cell, self._stage).run(Silent()).markers
            distinct.setdefault(markers.file(self._stage), cell)
        return list(distinct.values())

    def is_done(self, key: Cell) -> bool:
        return self.unit(key).run(Silent()).markers.is_done(self._stage)

    def unit(self, key: Cell) -> StageUnit:
        return StageUnit(self._config, key, self._stage)

    def store(self, unit: StageUnit, result: None) -> None:
        """The worker has, on the disk that all share."""

    @staticmethod
    def run(unit: StageUnit, tell: Tell) -> None:
        run = unit.run(_Told(tell))
        function = partial(_functions()[unit.stage], run)
        run_stages({unit.stage: function}, run.markers, run.progress)


class _Told(Silent):
    """Tells the driver about the iterations of a cell."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def iteration(self, row: dict[str, Any]) -> None:
        """One more is done."""
        self._tell(env_steps=row["num_env_steps"])


def _functions() -> Mapping[str, Callable[[Any], Summary]]:
    from rl_datagen.pipeline import expert  # imports torch, Ray and LIBERO

    return {"demonstrations": expert.demonstrations, "warm_start": expert.clone, "dppo": learn}


def learn(run: CellRun) -> Summary:
    """Fine-tunes the warm start for all iterations, and evaluates it before and after each due one.

    Returns:
        ``curve``: a row per iteration and one, of number 0, before the first.
    """
    from rl_datagen.algo.checkpoint import LEARNING_CURVE
    from rl_datagen.algo.fine_tune import fine_tune
    from rl_datagen.algo.selection import Score
    from rl_datagen.pipeline.verdict import score_of
    from rl_datagen.policy import ChunkActor, ChunkPolicy, load_policy
    from rl_datagen.rollout import plan_episode, rollout

    config, scene = run.config, run.scene

    def evaluate(policy: ChunkPolicy, _: int) -> Score:
        """From the same init states every time, newly drawn ones, the same for all arms."""
        numbers = range(config.evaluation.num_episodes)
        plans = [plan_episode(scene, "ablation", config.seed, n, None) for n in numbers]
        source = config.policy.source
        episodes = rollout(ChunkActor(policy), scene, plans, source=source, sim=config.sim)
        return score_of(list(episodes), config.verdict.test)

    warm, _, _ = load_policy(run.warm_expert, task=config.task)
    first = {"iteration": 0, "num_env_steps_lifetime": 0, **evaluate(warm, 0).columns()}
    fine_tune(
        config,
        run.warm_expert,
        run.expert,
        evaluate=evaluate,
        report=lambda _, row: run.progress.iteration(row),
        max_episode_steps=run.time_limit,
    )
    curve = json.loads((run.expert / LEARNING_CURVE).read_text("utf-8"))
    return {"curve": [first, *curve]}


def cells_of(config: AblationConfig) -> Iterator[Cell]:
    """Yields every cell; the default arm first, and all arms before the next seed."""
    for seed in range(config.num_seeds):
        for arm in config.arm_names:
            for task in config.tasks:
                yield Cell(arm, task, seed)


def run_ablation(config: AblationConfig, progress: Progress) -> Path:
    """Runs what is not done yet, and writes table and figure; returns the folder.

    Tasks, arms and seeds may be added from one call to the next.

    Raises:
        ConfigError: The folder belongs to other settings, or an arm's overlay cannot be used.
        UserError: Some cells failed, those that did not are stored; or another process runs it.
    """
    with lock_folder(config.folder):
        arms = {name: config.for_cell(name, config.tasks[0], 0) for name in config.arm_names}
        identity = config.model_dump(mode="json", exclude=_FREE)
        advice = "Choose another name with name=..., or delete that folder."
        bind(config.folder, config.model_dump(mode="json"), identity, advice)
        for name, arm in arms.items():
            _bind_arm(config.folder / "results" / name, arm.model_dump(mode="json"), advice)
        _run(config, progress)
        return write_results(config)


def _run(config: AblationConfig, progress: Progress) -> None:
    from rl_datagen.runtime.cluster import ray_session

    jobs = [_StageJob(config, stage) for stage in STAGES]
    if all(all(map(job.is_done, job.keys())) for job in jobs):
        return
    # One session for all stages, each of which would start Ray itself.
    with ray_session(config.folder / ".ray.log", config.num_workers):
        for job in jobs:
            execute(job, progress).check()


def _bind_arm(folder: Path, settings: dict[str, Any], advice: str) -> None:
    """An overlay may have changed since the arm's first run."""
    identity = {key: value for key, value in settings.items() if key not in _FREE}
    bind(folder, settings, identity, advice)


def write_results(config: AblationConfig) -> Path:
    """Writes ``ablation.json``, ``ablation.md`` and the figure of the finished cells."""
    from rl_datagen.report.ablation import Curve, write_ablation

    found = [
        Curve(cell.arm, cell.task.id, cell.seed, _rows(config.folder, cell))
        for cell in cells_of(config)
        if result_of(config.folder, cell).exists()
    ]
    write_ablation(config.folder, found, DEFAULT_ARM)
    return config.folder


def _rows(folder: Path, cell: Cell) -> list[dict[str, Any]]:
    return json.loads(result_of(folder, cell).read_text("utf-8"))["curve"]
