"""Branches: where an episode that was made from another one leaves it.

The id of such an episode says so, ``<origin>-branch-<step>-<takeover>-<number>``, in every form
that a dataset has, with no column of its own (docs/decisions/0020).
"""

import re
from dataclasses import dataclass

_ID = re.compile(r"(?P<origin>.+)-branch-(?P<step>\d+)-(?P<takeover>\d+)-(?P<number>\d+)")


@dataclass(frozen=True)
class Branch:
    """Where an episode leaves another one.

    Attributes:
        origin: Id of the other episode.
        step: Env step of the first action that is not the origin's.
        takeover: Env step of the first action that is the policy's; those from ``step`` on were
            meant to disturb, and nobody should learn them.
        number: Of the branch, among those of the origin.
    """

    origin: str
    step: int
    takeover: int
    number: int

    @property
    def episode_id(self) -> str:
        """Id of the episode that branches off."""
        return f"{self.origin}-branch-{self.step:04d}-{self.takeover:04d}-{self.number:02d}"


def branch_of(episode_id: str) -> Branch | None:
    """Returns where an episode branched off, or None if it did not."""
    found = _ID.fullmatch(episode_id)
    if found is None:
        return None
    numbers = {name: int(found[name]) for name in ("step", "takeover", "number")}
    return Branch(found["origin"], **numbers)


def opening_of(episode_id: str) -> int:
    """Returns how many env steps of an episode nobody should learn: those before the takeover."""
    branch = branch_of(episode_id)
    return branch.takeover if branch else 0
