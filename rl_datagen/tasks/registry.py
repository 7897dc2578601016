"""Five suites, 130 tasks, and selectors such as ``"libero_90/0-9,libero_goal"``."""

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from rl_datagen.core.errors import ConfigError, did_you_mean, shown
from rl_datagen.tasks.perturbed import perturb, perturbed_suites
from rl_datagen.tasks.task import Task


def _load() -> tuple[Task, ...]:
    suites = yaml.safe_load(files("rl_datagen.tasks").joinpath("suites.yaml").read_text("utf-8"))
    return tuple(
        Task(suite, index, name, suites[suite]["max_episode_steps"])
        for suite in suites
        for index, name in enumerate(suites[suite]["tasks"])
    )


TASKS: tuple[Task, ...] = _load()
SUITES: tuple[str, ...] = tuple(dict.fromkeys(task.suite for task in TASKS))


@cache
def known_tasks() -> tuple[Task, ...]:
    """Returns the 130 tasks, then their perturbations."""
    return TASKS + perturb(TASKS)


@cache
def _by_id(perturbed: bool) -> dict[str, Task]:
    return {task.id: task for task in (known_tasks() if perturbed else TASKS)}


def get_task(task_id: str) -> Task:
    """Returns the task with this id.

    Raises:
        ConfigError: No such task; the message offers the nearest one.
    """
    tasks = select_tasks(task_id)
    if len(tasks) != 1:
        raise ConfigError(
            f"task '{shown(task_id)}' selects {len(tasks)} tasks where exactly one is needed. "
            "Give one id such as 'libero_object/0'; `rl-datagen tasks` lists them."
        )
    return tasks[0]


def select_tasks(selector: str = "all") -> tuple[Task, ...]:
    """Returns the tasks a comma-separated selector names, each once, in selector order.

    Args:
        selector: Parts such as ``"all"`` (the 130), ``"perturbed"``, ``"libero_goal"``,
            ``"libero_goal_swap"``, ``"libero_goal/3"``, ``"libero_90/0-9"`` or the full name of
            one of the 130; after a part with a suite and a number, a number or a range is of the
            same suite: ``"libero_goal/1,7-9"``.

    Raises:
        ConfigError: A part names no suite or task; the message offers the nearest one.
    """
    selected, suite = dict[Task, None](), ""
    for part in map(str.strip, selector.split(",")):
        whole = f"{suite}/{part}" if suite and re.fullmatch(r"\d+(-\d+)?", part) else part
        suite = whole.rpartition("/")[0]  # empty without a slash
        selected |= dict.fromkeys(_select(whole))
    return tuple(selected)


def select_present(selector: str, present: Collection[str]) -> tuple[Task, ...]:
    """Returns those of a dataset's tasks that a selector names, in its order.

    Args:
        selector: As ``select_tasks`` takes it, but ``"all"`` is all that there are: a dataset of
            perturbed tasks is no smaller than one of the 130.
        present: Ids of the dataset's tasks.

    Raises:
        ConfigError: A part names no suite or task.
    """
    selected = dict.fromkeys(select_tasks(selector))
    if "all" in map(str.strip, selector.split(",")):
        perturbed = {get_task(task) for task in present} - selected.keys()
        selected |= dict.fromkeys(sorted(perturbed, key=known_tasks().index) if perturbed else ())
    return tuple(task for task in selected if task.id in present)


def require_present(selector: str, present: Collection[str], dataset: Path) -> set[str]:
    """Returns the ids of those of a dataset's tasks that a selector names.

    Args:
        selector: As above.
        present: Ids of the dataset's tasks.
        dataset: Where they are, for a message.

    Raises:
        ConfigError: There are tasks, and the selector names none of them.
    """
    wanted = {task.id for task in select_present(selector, present)}
    if present and not wanted:
        raise ConfigError(
            f"task={selector!r} selects no task of {dataset}, which has "
            f"{', '.join(sorted(present))}."
        )
    return wanted


def _select(part: str) -> list[Task]:
    if part == "all":
        return list(TASKS)
    if part == "perturbed":
        return [task for task in known_tasks() if task.base]
    if named := [task for task in TASKS if part in (task.id, task.suite, task.name)]:
        return named
    suite, _, numbers = part.partition("/")
    if suite in SUITES or suite in perturbed_suites():
        by_id = _by_id(suite not in SUITES)
        if not numbers:
            return [task for task in by_id.values() if task.suite == suite]
        if match := re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", numbers):
            first, last = int(match[1]), int(match[2] or match[1])
            ids = [f"{suite}/{index}" for index in range(first, last + 1)]
            if ids and ids[0] in by_id and ids[-1] in by_id:
                return [by_id[task_id] for task_id in ids]
    raise ConfigError(_unknown(part))


def _unknown(part: str) -> str:
    suite = part.split("/")[0]
    if suite in SUITES or suite in perturbed_suites():
        count = sum(task.suite == suite for task in known_tasks())
        hint = f" Suite '{suite}' has the tasks {suite}/0 to {suite}/{count - 1}."
    elif guess := did_you_mean(suite, [*SUITES, *perturbed_suites()]):
        hint = guess
    else:
        hint = did_you_mean(part, [task.name for task in TASKS])
    return (
        f"Unknown task '{shown(part)}'.{hint} Allowed: 'all', a suite ({', '.join(SUITES)}), an "
        "id such as 'libero_goal/3', a range such as 'libero_90/0-9', a list such as "
        "'libero_goal/1,7', or a task's name; `rl-datagen tasks` lists all of them, and "
        "`rl-datagen tasks --perturbed` their perturbations, such as 'libero_goal_swap/3'."
    )
