"""The 130 LIBERO tasks as data; nothing here imports LIBERO."""

from rl_datagen.tasks.registry import SUITES, TASKS, Task, get_task, select_tasks

__all__ = ["SUITES", "TASKS", "Task", "get_task", "select_tasks"]
