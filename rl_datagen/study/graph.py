"""A job of the study: what it needs, does and takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.pipeline.engine import Markers, Summary


@dataclass(frozen=True)
class Hours:
    """What a job takes, estimated.

    Attributes:
        core: Core hours.
        gpu: GPU hours.
    """

    core: float = 0.0
    gpu: float = 0.0

    def __add__(self, other: "Hours") -> "Hours":
        """Of both jobs."""
        return Hours(self.core + other.core, self.gpu + other.gpu)


@dataclass(frozen=True)
class Job:
    """One job of a graph.

    Attributes:
        name: Unique; names its folder.
        after: Jobs whose results it needs.
        run: Does the work, or what is left of it, and returns JSON-ready findings.
        resources: What it runs on at a time, in words.
        hours: What that takes.
    """

    name: str
    after: tuple[str, ...]
    run: Callable[[], Summary]
    resources: str = "1 core"
    hours: Hours = Hours()


def markers_of(jobs: Sequence[Job], folder: Path) -> Markers:
    """Returns the markers of a study's jobs: ``done.json`` in a folder of each."""
    after = {job.name: job.after for job in jobs}
    return Markers(lambda name: folder / "jobs" / name / "done.json", after)
