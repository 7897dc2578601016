"""The 130 LIBERO tasks and their perturbations as data; nothing here imports LIBERO."""

from rl_datagen.core.imports import make_callable
from rl_datagen.tasks.registry import (
    SUITES,
    TASKS,
    get_task,
    known_tasks,
    require_present,
    select_present,
    select_tasks,
)
from rl_datagen.tasks.task import NUM_INIT_STATES, Task

__all__ = [
    "NUM_INIT_STATES",
    "SUITES",
    "TASKS",
    "Task",
    "get_task",
    "known_tasks",
    "require_present",
    "select_present",
    "select_tasks",
]

make_callable(__name__, select_tasks)
