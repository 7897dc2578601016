"""The 130 LIBERO tasks as data; nothing here imports LIBERO."""

from rl_datagen.core.imports import make_callable
from rl_datagen.tasks.registry import (
    NUM_INIT_STATES,
    SUITES,
    TASKS,
    Task,
    get_task,
    select_tasks,
)

__all__ = ["NUM_INIT_STATES", "SUITES", "TASKS", "Task", "get_task", "select_tasks"]

make_callable(__name__, select_tasks)
