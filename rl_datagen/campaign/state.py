"""One JSON file per trial: the only thing that status, board and a resumed campaign read."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypedDict

from rl_datagen.core.storage import Storage
from rl_datagen.tasks import Task, get_task

States = Literal["pending", "running", "finished", "failed", "stopped"]
FOLDER = "trials"
DONE: tuple[States, ...] = ("finished", "stopped")
"""States of trials that have their expert; nothing runs them again."""


class Successes(TypedDict):
    """Result of an evaluation."""

    num_successes: int
    num_episodes: int


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

    task: str
    state: States = "pending"
    stage: str | None = None
    started: float | None = None
    updated: float = 0.0
    finished: float | None = None
    num_iterations: int = 0
    iteration: int = 0
    env_steps: int = 0
    env_steps_per_second: float | None = None
    seconds: float = 0.0
    retries: int = 0
    error: str | None = None
    success_before: Successes | None = None
    success_after: Successes | None = None
    evaluated: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    sampled: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    length_before: float | None = None
    length_after: float | None = None
    expert: str | None = None
    mlflow_run: str | None = None


def write_state(storage: Storage, state: TrialState) -> None:
    """Replaces the file of this trial."""
    storage.write_json(_path(get_task(state.task)), asdict(state))


def read_state(storage: Storage, task: Task) -> TrialState | None:
    """Returns how far this task is, or None if the campaign has not heard of it."""
    values = storage.read_json(_path(task))
    return None if values is None else _parse(values)


def read_states(storage: Storage, tasks: Sequence[Task]) -> dict[str, TrialState | None]:
    """Returns the state of each task by its id; None for one without a file."""
    with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly, but many at a time
        states = pool.map(lambda task: read_state(storage, task), tasks)
        return {task.id: state for task, state in zip(tasks, states, strict=True)}


def _path(task: Task) -> str:
    return f"{FOLDER}/{task.suite}-{task.index}.json"


def _parse(values: dict[str, Any]) -> TrialState:
    known = {item.name for item in fields(TrialState)}
    return TrialState(**{key: value for key, value in values.items() if key in known})
