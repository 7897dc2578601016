"""Names that are read from files: each is checked at once, so that none leads out of its folder.

Readers use the annotated types in pydantic models, and the functions elsewhere. The functions
return the name, or raise a ValueError whose text begins with the value and says what is allowed.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, Field

from rl_datagen.core.errors import DatasetError, explained, quoted
from rl_datagen.core.paths import check_relative_path
from rl_datagen.tasks import known_tasks

MAX_NAME = 128
"""Characters of one part of a path; file systems allow 255 bytes, and names get endings."""

_PART = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")
_ALLOWED = (
    f"letters, digits, '.', '_' and '-' are allowed, at most {MAX_NAME}, and no '.' or '-' at the "
    "beginning"
)


@cache
def _known_ids() -> frozenset[str]:
    return frozenset(task.id for task in known_tasks())


def check_task_id(value: object) -> str:
    """Returns the id of one of the 130 tasks or of their perturbations.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or value not in _known_ids():
        raise ValueError(
            f"{quoted(value)} is not a task: an id such as 'libero_goal/3' is allowed, of the "
            f"{len(_known_ids())} that `rl-datagen tasks` lists, some with --perturbed"
        )
    return value


def check_name(value: object) -> str:
    """Returns a name that is one safe part of a path, such as an episode's or an expert's.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or not _PART.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a safe name: {_ALLOWED}")
    return value


def check_compact_names(table: pa.Table, task: str) -> None:
    """Checks what a task's rows name: episodes, the task and shards.

    Raises:
        ValueError: A name is not allowed, or is of another task.
    """
    for name in table["episode_id"].to_pylist():
        check_name(name)
    if others := set(table["task"].to_pylist()) - {task}:
        raise ValueError(f"task={quoted(next(iter(others)))} is not '{task}', its own")
    for part in table["part"].to_pylist():
        if part is None or part < 0:
            raise ValueError(f"part={part}: 0, 1, ... are allowed")


TaskId = Annotated[str, BeforeValidator(check_task_id)]
EpisodeId = Annotated[str, BeforeValidator(check_name)]
RelativePath = Annotated[str, BeforeValidator(check_relative_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("a whole number is needed")
    return value


Number = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, lt=2**63)]
"""How many, or the how manieth; never negative."""


def refused(path: str | Path, error: Exception, next_step: str = "") -> DatasetError:
    """Returns what to say of a file with a name or value that is not allowed.

    Args:
        path: The file.
        error: Of pydantic or of a function of this module.
        next_step: What to do; else to restore the file.
    """
    step = next_step or "Restore it from a copy, or make it again."
    return DatasetError(f"{path} is refused: {explained(error)}. Nothing was written. {step}")
