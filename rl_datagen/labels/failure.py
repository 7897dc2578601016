"""Why an episode did not reach its goal."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rl_datagen.data.labels import Cause

MIN_CLOSED = 3
"""Env steps; a shorter close command is no attempt to grasp."""

_END = 3  # env steps at an episode's end; in any of them a grasp may waver


@dataclass(frozen=True)
class Evidence:
    """What a failed episode shows.

    Attributes:
        wanted: Names of what the statements that do not hold are about.
        involved: Names of what the task moves: what any statement of the goal is about, and the
            drawers and doors of its other things.
        moved: Names of what moved as the hand's doing, in order.
        held: What was held at each env step; empty: nothing.
        contact_objects: What the hand touched at each env step.
        parts: Names of moving parts (drawers, doors, knobs).
        num_closed: Env steps at which the fingers were told to close.
    """

    wanted: Collection[str]
    involved: Collection[str]
    moved: Sequence[str]
    held: Sequence[str]
    contact_objects: Sequence[Collection[str]]
    parts: Collection[str]
    num_closed: int


def failure_cause(evidence: Evidence) -> Cause:
    """Returns why an episode did not reach its goal.

    In this order:

    * ``timeout``: time ran out while a wanted thing was in the hand, or the hand at a wanted part.
    * ``dropped``: a wanted thing had been moved, and was let go of elsewhere than at its place.
    * ``wrong_object``: something moved that the task does not move, and nothing that is wanted.
    * ``missed_grasp``: the hand closed, or was at a wanted part, and nothing wanted was moved.
    * ``timeout``: it did not come to that.
    """
    at_end = set(evidence.held[-_END:])
    for names in evidence.contact_objects[-_END:]:
        at_end |= {name for name in names if name in evidence.parts}
    if at_end.intersection(evidence.wanted):
        return "timeout"
    if any(name in evidence.wanted for name in evidence.moved):
        return "dropped"
    if any(name not in evidence.involved for name in evidence.moved):
        return "wrong_object"
    touched = {name for names in evidence.contact_objects for name in names}
    tried = touched & set(evidence.wanted) & set(evidence.parts)
    return "missed_grasp" if tried or evidence.num_closed >= MIN_CLOSED else "timeout"
