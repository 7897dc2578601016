"""Human demonstrations to a dataset, each as our simulator replays it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.config import ImportConfig
from rl_datagen.core.errors import ConfigError, SimulatorError, UserError
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos.hdf5 import find_task, read_hdf5
from rl_datagen.demos.human import HumanDemonstration, load_human_demonstration, replay
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import Task, select_tasks

BUNDLED = "bundled"
"""Names the source that is installed with this package: one demonstration of each task."""


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


@dataclass(frozen=True)
class DemonstrationSource:
    """The demonstrations of one task.

    Attributes:
        task: The task.
        path: HDF5 file; None: the bundled demonstration.
    """

    task: Task
    path: Path | None

    def read(self, scene: Scene | None = None) -> tuple[list[HumanDemonstration], list[str]]:
        """Returns what is sound, and a sentence per malformed one; see ``read_hdf5``."""
        if self.path is None:
            return [load_human_demonstration(self.task)], []
        return read_hdf5(self.path, self.task, scene)


def import_demonstrations(
    config: ImportConfig,
    source: str = BUNDLED,
    *,
    on_start: Callable[[int], None] = lambda _: None,
    on_task: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Replays demonstrations in our simulator and stores them, one shard per task.

    Those that miss the goal are stored and marked. Those that the dataset holds are passed over,
    so a second call continues the first.

    Args:
        config: The job.
        source: ``BUNDLED``, or an HDF5 file, or a folder of them.
        on_start: Called with the number of tasks that are still to do.
        on_task: Called after each task with its id.

    Raises:
        UserError: The source holds nothing sound of these tasks, or a demonstration is malformed
            and ``config.on_error`` is ``refuse``.
    """
    sources, problems = find_sources(config.task, source)
    found = {item: item.read() for item in sources}
    malformed = {item.task: sentences for item, (_, sentences) in found.items()}
    every = [*problems, *(sentence for sentences in malformed.values() for sentence in sentences)]
    _refuse(config, every)
    if not any(demonstrations for demonstrations, _ in found.values()):
        raise UserError(
            f"'{source}' holds no sound demonstration of task={config.task}. "
            f"{' '.join(every[:3])} Give '{BUNDLED}', or a folder of <task name>_demo.hdf5 files, "
            "such as `rl-datagen demos download` fills."
        )
    path = Path(config.output_dir, "demos", config.name)
    # Selecting further tasks later continues the same dataset.
    identity = {"source": source, **config.model_dump(mode="json", include={"seed", "sim"})}
    with DatasetWriter(path, config={"demos import": identity}) as writer:
        missing = [
            item
            for item, (demonstrations, _) in found.items()
            if not writer.episode_ids.issuperset(d.episode_id for d in demonstrations)
        ]
        on_start(len(missing))
        for task, episodes, sentences in _replay_all(missing, config, writer):
            writer.append(episodes, num_attempts=len(episodes))
            malformed[task] = sentences
            on_task(task.id)
        rows = read_episodes(path).to_pylist()
    write_card(path)
    reports = (_report(item.task, rows, malformed[item.task]) for item in sources)
    return ImportReport(path, tuple(reports), tuple(problems))


def find_sources(selector: str, source: str) -> tuple[list[DemonstrationSource], list[str]]:
    """Returns where each selected task's demonstrations are, and a sentence per useless file.

    Args:
        selector: Of tasks, such as ``libero_goal``.
        source: ``BUNDLED``, or an HDF5 file, or a folder of them.

    Raises:
        UserError: There is no such file or folder.
    """
    selected = select_tasks(selector)
    if source == BUNDLED:
        return [DemonstrationSource(task, None) for task in selected], []
    if not Path(source).exists():
        raise UserError(f"'{source}' does not exist. Give '{BUNDLED}', a file or a folder.")
    files = [Path(source)] if Path(source).is_file() else sorted(Path(source).rglob("*.hdf5"))
    found: dict[Task, Path] = {}
    problems: list[str] = []
    for file in files:
        try:
            task = find_task(file)
        except ConfigError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{file} is damaged or no HDF5 file: {error}.")
        else:
            if found.setdefault(task, file) != file:
                problems.append(f"{file} is of {task}, as is {found[task]}, which comes first.")
    return [DemonstrationSource(task, found[task]) for task in selected if task in found], problems


_Replayed = tuple[list[Trajectory], list[str]]


def _replay_all(
    sources: list[DemonstrationSource], config: ImportConfig, writer: DatasetWriter
) -> Iterator[tuple[Task, *_Replayed]]:
    """Yields each task with what ``replay_task`` returns; several of them as Ray tasks."""
    units = [(config, source, writer.episode_ids) for source in sources]
    if len(units) <= 1:  # not worth Ray's start
        yield from ((unit[1].task, *replay_task(unit)) for unit in units)
        return
    with ray_session(writer.path / ".ray.log", config.num_workers):
        for (_, source, _), result in map_units(replay_task, units, config.num_workers):
            if isinstance(result, SimulatorError):
                yield source.task, [], [f"{source.task} failed: {result.message}."]
            else:
                yield source.task, *result


def replay_task(unit: tuple[ImportConfig, DemonstrationSource, Collection[str]]) -> _Replayed:
    """Replays the demonstrations of a task, but for those that are present.

    Returns:
        Their episodes, and one sentence for each demonstration that is malformed.
    """
    config, source, present = unit
    scene = load_scene(source.task, **config.sim.scene())
    demonstrations, problems = source.read(scene)
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


def _report(task: Task, rows: list[dict[str, Any]], malformed: list[str]) -> ImportedTask:
    rows = [row for row in rows if row["task"] == task.id]
    missed = [
        f"{row['episode_id'].partition('-human-')[2]} misses the goal in its {row['length']} steps."
        for row in rows
        if not row["success"]
    ]
    return ImportedTask(task.id, len(rows), len(rows) - len(missed), (*malformed, *missed))
