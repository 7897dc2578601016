"""One JSON file per trial: the only thing that status, board and a resumed campaign read."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from rl_datagen.core.storage import Storage
from rl_datagen.core.stored import Count, Rate, Seconds, damaged
from rl_datagen.data.names import TaskId
from rl_datagen.tasks import Task, get_task

States = Literal["pending", "running", "finished", "failed", "stopped"]
FOLDER = "trials"
DONE: tuple[States, ...] = ("finished", "stopped")
"""States of trials that have their expert; nothing runs them again."""


@dataclass(frozen=True)
class Successes:
    """Result of an evaluation."""

    num_successes: Count
    num_episodes: Count

    def __post_init__(self) -> None:
        if self.num_successes > self.num_episodes:
            raise ValueError("there are more successes than episodes")


@dataclass(frozen=True)
class TrialState:
    """How far a trial is.

    Attributes:
        task: Task id.
        state: ``stopped`` has an expert and used up its budget; ``failed`` has used up its retries.
        stage: What it does, or did when it ended badly; None before the first stage and at the end.
        started: Unix time (s) of its first start.
        updated: Unix time (s) of this record.
        finished: Unix time (s) of its end, in whichever state.
        num_iterations: Iterations it will do at most.
        iteration: Iterations done.
        env_steps: Env steps sampled in them.
        env_steps_per_second: In the last one.
        seconds: Time it has run, without the time it was interrupted.
        retries: Times it was started again after it had died.
        error: What it died of last; None once it runs again.
        success_before: Evaluation of the warm start.
        success_after: Evaluation of the expert.
        evaluated: Iteration and success rate of each evaluation in between.
        sampled: Iteration and success rate while sampling.
        length_before: Env steps per episode of the warm start.
        length_after: Env steps per episode of the expert.
        expert: Path or URI of the expert's folder.
        mlflow_run: Id of its run in MLflow.
    """

    task: TaskId
    state: States = "pending"
    stage: str | None = None
    started: Seconds | None = None
    updated: Seconds = 0.0
    finished: Seconds | None = None
    num_iterations: Count = 0
    iteration: Count = 0
    env_steps: Count = 0
    env_steps_per_second: Seconds | None = None
    seconds: Seconds = 0.0
    retries: Count = 0
    error: str | None = None
    success_before: Successes | None = None
    success_after: Successes | None = None
    evaluated: list[tuple[Count, Rate]] = field(default_factory=list[tuple[int, float]])
    sampled: list[tuple[Count, Rate]] = field(default_factory=list[tuple[int, float]])
    length_before: Seconds | None = None
    length_after: Seconds | None = None
    expert: str | None = None
    mlflow_run: str | None = None


def write_state(storage: Storage, state: TrialState) -> None:
    """Replaces the file of this trial."""
    storage.write_json(_path(get_task(state.task)), asdict(state))


def read_state(storage: Storage, task: Task) -> TrialState | None:
    """Returns how far this task is, or None if the campaign has not heard of it.

    Raises:
        UserError: The file is damaged.
    """
    advice = "Restore it from a copy, or delete it: `rl-datagen campaign run` then resumes with it."
    state = storage.read_json(_path(task), _FORM, advice)
    if state is not None and state.task != task.id:
        raise damaged(storage.uri_of(_path(task)), f"it is of {state.task}", advice)
    return state


def read_states(storage: Storage, tasks: Sequence[Task]) -> dict[str, TrialState | None]:
    """Returns the state of each task by its id; None for one without a file."""
    with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly, but many at a time
        states = pool.map(lambda task: read_state(storage, task), tasks)
        return {task.id: state for task, state in zip(tasks, states, strict=True)}


def _path(task: Task) -> str:
    return f"{FOLDER}/{task.suite}-{task.index}.json"


_FORM = TypeAdapter(TrialState)
