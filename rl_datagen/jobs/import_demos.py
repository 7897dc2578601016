"""Import of human demonstrations into a dataset, each as our simulator replays it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_datagen.config import ImportConfig
from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import HumanDemonstration, replay
from rl_datagen.demos.sources import BUNDLED, DemonstrationSource, find_sources
from rl_datagen.runtime.executor import Job, Tell, execute
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task


@dataclass(frozen=True)
class ImportedTask:
    """What became of one task's demonstrations.

    Attributes:
        task: Task id.
        demonstrations: How many the dataset holds.
        succeeded: How many of them reach the goal in our simulator.
        problems: One sentence for each that does not, and for each that could not be imported.
    """

    task: str
    demonstrations: int
    succeeded: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        dataset: The dataset's folder.
        tasks: Task by task.
        problems: One sentence for each file that belongs to no task.
    """

    dataset: Path
    tasks: tuple[ImportedTask, ...]
    problems: tuple[str, ...]


_Demonstrations = dict[DemonstrationSource, tuple[list[HumanDemonstration], list[str]]]


@dataclass(frozen=True)
class _Unit:
    config: ImportConfig
    source: DemonstrationSource
    present: Collection[str]


_Replayed = tuple[list[Trajectory], list[str]]  # and sentences on what is malformed


class _Import(Job[DemonstrationSource, _Unit, _Replayed]):
    """A shard for each task."""

    name, noun = "import", "tasks"

    def __init__(self, config: ImportConfig, found: _Demonstrations, writer: DatasetWriter) -> None:
        self.folder, self.num_workers = writer.path, config.num_workers
        self._config, self._found, self._writer = config, found, writer
        self.malformed = {source.task: sentences for source, (_, sentences) in found.items()}

    def keys(self) -> Sequence[DemonstrationSource]:
        return list(self._found)

    def is_done(self, key: DemonstrationSource) -> bool:
        return self._ids(key) <= self._writer.episode_ids

    def unit(self, key: DemonstrationSource) -> _Unit:
        return _Unit(self._config, key, self._ids(key) & self._writer.episode_ids)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> _Replayed:
        return replay_task(unit.config, unit.source, unit.present)

    def store(self, unit: _Unit, result: _Replayed) -> None:
        episodes, sentences = result
        self._writer.append(episodes, num_attempts=len(episodes))
        self.malformed[unit.source.task] = sentences

    def label(self, key: DemonstrationSource) -> str:
        return key.task.id

    def _ids(self, key: DemonstrationSource) -> set[str]:
        demonstrations, _ = self._found[key]
        return {demonstration.episode_id for demonstration in demonstrations}


def import_demonstrations(
    config: ImportConfig, source: str = BUNDLED, progress: Progress = SILENT
) -> ImportReport:
    """Replays demonstrations in our simulator and stores them, one shard per task.

    Those that miss the goal are stored and marked. Those that the dataset holds are passed over,
    so a second call continues the first.

    Args:
        config: The job.
        source: ``BUNDLED``, or an HDF5 file, or a folder of them.
        progress: Told how far the job is.

    Raises:
        UserError: The source holds nothing sound of these tasks, or a demonstration is malformed
            and ``config.on_error`` is ``refuse``.
    """
    sources, problems = find_sources(config.task, source)
    found = {item: item.read_own() for item in sources}
    every = [*problems, *(sentence for _, malformed in found.values() for sentence in malformed)]
    _refuse(config, every)
    if not any(demonstrations for demonstrations, _ in found.values()):
        raise UserError(
            f"'{source}' holds no sound demonstration of task={config.task}. "
            f"{' '.join(every[:3])} Give '{BUNDLED}', or a folder of <task name>_demo.hdf5 files "
            "(docs/demonstrations.md says where to get LIBERO's)."
        )
    path = Path(config.output_dir, "demos", config.name)
    # Selecting further tasks later continues the same dataset.
    identity = {"source": source, **config.model_dump(mode="json", include={"seed", "sim"})}
    with DatasetWriter(path, config={"demos import": identity}) as writer:
        job = _Import(config, found, writer)
        failed = execute(job, progress).problems
    _refuse(config, [*failed])
    rows = read_episodes(path).to_pylist()
    write_card(path)
    reports = (_report(item.task, rows, job.malformed[item.task], failed) for item in sources)
    return ImportReport(path, tuple(reports), tuple(problems))


def replay_task(
    config: ImportConfig, source: DemonstrationSource, present: Collection[str]
) -> _Replayed:
    """Replays the demonstrations of a task, but for those that are present.

    Returns:
        Their episodes, and one sentence for each demonstration that is malformed.
    """
    scene = load_scene(source.task, **config.sim.scene())
    demonstrations, problems = source.read_own(scene)
    _refuse(config, problems)
    episodes: list[Trajectory] = []
    for demonstration in demonstrations:
        if demonstration.episode_id not in present:
            try:
                episodes.append(replay(demonstration, scene, config.sim, config.seed))
            except SimulatorError as error:
                problems.append(f"{demonstration.name} cannot be replayed: {error.message}.")
    return episodes, problems


def _refuse(config: ImportConfig, problems: list[str]) -> None:
    if problems and config.on_error == "refuse":
        raise UserError(
            f"{problems[0]} {len(problems) - 1} more such problem(s). Put the file right, or "
            "leave out what is malformed with on_error=skip."
        )


def _report(
    task: Task, rows: list[dict[str, Any]], malformed: list[str], failed: Sequence[str]
) -> ImportedTask:
    rows = [row for row in rows if row["task"] == task.id]
    missed = [
        f"{row['episode_id'].partition('-human-')[2]} misses the goal in its {row['length']} steps."
        for row in rows
        if not row["success"]
    ]
    here = [sentence for sentence in failed if sentence.startswith(f"{task.id}: ")]
    return ImportedTask(task.id, len(rows), len(rows) - len(missed), (*malformed, *missed, *here))
