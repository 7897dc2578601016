"""Where the human demonstrations of tasks lie: with this package, or in HDF5 files."""

from dataclasses import dataclass
from pathlib import Path

from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.demos.hdf5 import SUFFIXES, find_task, read_hdf5, unreadable
from rl_datagen.demos.human import HumanDemonstration, load_human_demonstration
from rl_datagen.sim import Scene
from rl_datagen.tasks import Task, select_tasks

BUNDLED = "bundled"
"""Names the source that is installed with this package: one demonstration of each task."""


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

    def read_own(self, scene: Scene | None = None) -> tuple[list[HumanDemonstration], list[str]]:
        """Returns the same of those that were made in the task's own scene."""
        if self.path is None and self.task.base:
            reason = f"{self.task} perturbs {self.task.base} and has none of its own: amplify that"
            return [], [f"{reason} (`rl-datagen demos amplify task={self.task}`)."]
        return self.read(scene)


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
    found: dict[Task, Path] = {}
    problems: list[str] = []
    for file in _files(Path(source)):
        try:
            task = find_task(file)
        except ConfigError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(unreadable(file, error))
        else:
            if found.setdefault(task, file) != file:
                problems.append(f"{file} is of {task}, as is {found[task]}, which comes first.")
    return [DemonstrationSource(task, found[task]) for task in selected if task in found], problems


def _files(source: Path) -> list[Path]:
    """Returns the HDF5 files; hidden ones are the file system's (``._x.hdf5``) or an editor's."""
    if source.is_file():
        return [source]
    return sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
