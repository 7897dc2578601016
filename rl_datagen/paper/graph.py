"""Jobs that depend on each other, run once each; a graph that was killed goes on."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_datagen.core.storage import write_json

Summary = dict[str, Any]
DONE = "done.json"


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


def run_graph(
    jobs: Sequence[Job],
    folder: Path,
    *,
    on_start: Callable[[Job], None] = lambda _: None,
    on_done: Callable[[Job, Summary], None] = lambda _, __: None,
) -> None:
    """Runs the jobs that are not done yet, each after those it needs, one at a time.

    A job spreads its own work over the cluster, and goes on where it was killed. Once it runs
    again, so do those that need it.

    Args:
        jobs: Each after those it needs.
        folder: Has a folder for each job, with ``done.json`` once it is done.
        on_start: Called before each job that runs.
        on_done: Called with each job's findings, also of one that was done before.
    """
    for job in jobs:
        marker = _marker(folder, job)
        if not marker.exists():
            for later in _dependents(job, jobs):
                _marker(folder, later).unlink(missing_ok=True)
            on_start(job)
            begin = time.monotonic()
            found = job.run()
            write_json(marker, {**found, "seconds": round(time.monotonic() - begin, 1)})
        on_done(job, json.loads(marker.read_text("utf-8")))


def is_done(job: Job, folder: Path) -> bool:
    """Whether a job has left its marker."""
    return _marker(folder, job).exists()


def _marker(folder: Path, job: Job) -> Path:
    return folder / "jobs" / job.name / DONE


def _dependents(job: Job, jobs: Sequence[Job]) -> list[Job]:
    names, found = {job.name}, list[Job]()
    for other in jobs:
        if names & set(other.after):
            names.add(other.name)
            found.append(other)
    return found
