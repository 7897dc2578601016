"""Five suites, 130 tasks, and selectors such as ``"libero_90/0-9,libero_goal"``."""

import re
from dataclasses import dataclass
from importlib.resources import files

import yaml

from rl_datagen.core.errors import ConfigError, did_you_mean, shown

NUM_INIT_STATES = 50
"""That LIBERO ships of each task."""


@dataclass(frozen=True, order=True)
class Task:
    """One LIBERO task.

    Attributes:
        suite: One of ``SUITES``.
        index: Position in the suite, as in LIBERO's benchmark.
        name: LIBERO's name: the stem of the BDDL and init-state files.
        max_episode_steps: Time limit in env steps (20 Hz).
    """

    suite: str
    index: int
    name: str
    max_episode_steps: int

    @property
    def id(self) -> str:
        """``"libero_goal/3"``."""
        return f"{self.suite}/{self.index}"

    @property
    def instruction(self) -> str:
        """The sentence a VLA is given, as LIBERO derives it from the task's name."""
        return re.sub(r"^[A-Z_]+SCENE\d+_", "", self.name).replace("_", " ")

    def __str__(self) -> str:
        return self.id


def _load() -> tuple[Task, ...]:
    suites = yaml.safe_load(files("rl_datagen.tasks").joinpath("suites.yaml").read_text("utf-8"))
    return tuple(
        Task(suite, index, name, suites[suite]["max_episode_steps"])
        for suite in suites
        for index, name in enumerate(suites[suite]["tasks"])
    )


TASKS: tuple[Task, ...] = _load()
SUITES: tuple[str, ...] = tuple(dict.fromkeys(task.suite for task in TASKS))
_BY_ID = {task.id: task for task in TASKS}


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
        selector: Parts such as ``"all"``, ``"libero_goal"``, ``"libero_goal/3"``,
            ``"libero_90/0-9"`` or a task's full name; after a part with a suite and a number, a
            number or a range is of the same suite: ``"libero_goal/1,7-9"``.

    Raises:
        ConfigError: A part names no suite or task; the message offers the nearest one.
    """
    selected, suite = dict[Task, None](), ""
    for part in map(str.strip, selector.split(",")):
        whole = f"{suite}/{part}" if suite and re.fullmatch(r"\d+(-\d+)?", part) else part
        suite = whole.rpartition("/")[0]  # empty without a slash
        selected |= dict.fromkeys(_select(whole))
    return tuple(selected)


def _select(part: str) -> list[Task]:
    if part == "all":
        return list(TASKS)
    if part in _BY_ID:
        return [_BY_ID[part]]
    named = [task for task in TASKS if part in (task.suite, task.name)]
    if named:
        return named
    match = re.fullmatch(r"(\w+)/(\d{1,4})-(\d{1,4})", part)
    if match and match[1] in SUITES:
        ends = [_BY_ID.get(f"{match[1]}/{int(index)}") for index in match.groups()[1:]]
        if ends[0] and ends[1] and ends[0] <= ends[1]:
            return [task for task in TASKS if ends[0] <= task <= ends[1]]
    raise ConfigError(_unknown(part))


def _unknown(part: str) -> str:
    suite = part.split("/")[0]
    if suite in SUITES:
        count = sum(task.suite == suite for task in TASKS)
        hint = f" Suite '{suite}' has the tasks {suite}/0 to {suite}/{count - 1}."
    elif guess := did_you_mean(suite, SUITES):
        hint = guess
    else:
        hint = did_you_mean(part, [task.name for task in TASKS])
    return (
        f"Unknown task '{shown(part)}'.{hint} Allowed: 'all', a suite ({', '.join(SUITES)}), an "
        "id such as 'libero_goal/3', a range such as 'libero_90/0-9', a list such as "
        "'libero_goal/1,7', or a task's name; `rl-datagen tasks` lists all of them."
    )
