"""Tasks that are perturbations of the 130: other words, places, objects, goals or distractors.

LIBERO-PRO's (Zhou et al. 2025, arXiv 2510.03827), as the LIBERO package has them. The number of a
perturbed task is that of the task it perturbs: ``libero_goal_swap/3`` is ``libero_goal/3`` with the
objects elsewhere. Their data is read when one is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict

import yaml

from rl_datagen.tasks.task import NUM_INIT_STATES, Task


class _Change(TypedDict):
    """What ``perturbed.yaml`` says of one suite."""

    perturbs: str
    tasks: NotRequired[list[str]]
    instructions: NotRequired[list[str]]
    demonstrated_by: NotRequired[list[str]]
    omits: NotRequired[list[int]]
    num_init_states: NotRequired[int]


@cache
def perturbed_suites() -> tuple[str, ...]:
    """Returns the names of the suites: ``"libero_spatial_lan"``, ..."""
    return tuple(f"{base}_{ending}" for base, suites in _data().items() for ending in suites)


@cache
def _data() -> dict[str, dict[str, _Change]]:
    return yaml.safe_load(files("rl_datagen.tasks").joinpath("perturbed.yaml").read_text("utf-8"))


def perturb(bases: Sequence[Task]) -> tuple[Task, ...]:
    """Returns the perturbed tasks, suite by suite.

    Args:
        bases: The tasks that may be perturbed or show a goal, those of a suite in its order.
    """
    by_id = {base.id: base for base in bases}
    return tuple(
        task
        for suite, about in _data().items()
        for ending, change in about.items()
        for task in _suite([base for base in bases if base.suite == suite], ending, change, by_id)
    )


def _suite(
    bases: list[Task], ending: str, change: _Change, by_id: Mapping[str, Task]
) -> Iterator[Task]:
    shown = change.get("demonstrated_by", [base.id for base in bases])
    names = change.get("tasks", [base.name for base in bases])
    sentences = change.get("instructions", [base.instruction for base in bases])
    for base, name, sentence, other in zip(bases, names, sentences, shown, strict=True):
        if base.index in change.get("omits", ()):
            continue
        yield Task(
            f"{base.suite}_{ending}",
            base.index,
            name,
            base.max_episode_steps,
            base=base,
            perturbs=change["perturbs"],
            sentence=sentence,
            demonstrated_by=by_id[other],
            num_init_states=change.get("num_init_states", NUM_INIT_STATES),
        )
