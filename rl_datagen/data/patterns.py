"""Patterns: which way an episode takes to where the expert's own way leads.

The id of an episode that takes another way says so, ``<origin>-pattern-<number>``, in every form
that a dataset has, with no column of its own (docs/decisions/0021).
"""

import re
from dataclasses import dataclass

MIN_PATH_DISTANCE = 0.02
"""Paths that are nearer to each other than this, in m, are of one pattern.

``core.curves.path_distance``. Two episodes of an expert from one init state, which differ in its
noise alone, are 1.0 to 1.6 cm apart in the mean of a task (docs/collection.md).
"""

_ID = re.compile(r"(?P<origin>.+)-pattern-(?P<number>\d{2,4})", re.ASCII)


@dataclass(frozen=True)
class Pattern:
    """Which way an episode takes.

    Attributes:
        origin: Id of the episode of the expert's own way, from the same init state.
        number: Of the way, from 1; 0 is the expert's own.
    """

    origin: str
    number: int

    @property
    def episode_id(self) -> str:
        """Id of the episode that takes it."""
        return f"{self.origin}-pattern-{self.number:02d}"


def pattern_of(episode_id: str) -> Pattern:
    """Returns which way an episode takes; of one that was not detoured, its own with number 0."""
    found = _ID.fullmatch(episode_id)
    return Pattern(found["origin"], int(found["number"])) if found else Pattern(episode_id, 0)
