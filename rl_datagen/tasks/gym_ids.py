"""The 130 tasks in Gymnasium's registry: ``gymnasium.make("rl_datagen/libero_goal-8-v0")``."""

from rl_datagen.tasks.registry import TASKS
from rl_datagen.tasks.task import Task


def gym_id(task: Task) -> str:
    """Returns ``"rl_datagen/libero_goal-8-v0"``."""
    return f"rl_datagen/{task.suite}-{task.index}-v0"


def register() -> None:
    """Registers all of them, by the names of what makes them: nothing is imported for it."""
    import gymnasium

    for task in TASKS:
        gymnasium.register(  # pyright: ignore[reportUnknownMemberType]
            gym_id(task),
            entry_point="rl_datagen.sim.gym_env:LiberoEnv",
            vector_entry_point="rl_datagen.sim.gym_env:make_vector_env",
            kwargs={"task": task.id},
        )
