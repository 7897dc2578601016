"""Stages that need each other, run once each; what was killed resumes after the last one."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import write_json
from rl_datagen.core.stored import Count, Open, Rate, Seconds, damaged, object_form, read_stored

Summary = dict[str, Any]
"""What a stage found, JSON-ready."""


class _Found(Open):
    """What of it has a meaning to others than the stage."""

    seconds: Seconds = 0
    core_seconds: Seconds = 0
    num_successes: Count = 0
    num_episodes: Annotated[int, Field(ge=1, lt=2**63)] = 1
    success_rate: Rate = 0
    success_ci_low: Rate = 0
    success_ci_high: Rate = 0
    episode_len_mean: Annotated[float, Field(ge=0, le=1e6)] = 0
    length_mean: Annotated[float, Field(gt=0, le=1e6)] = 1
    iterations: Count = 0
    stopped: bool = False

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if "num_episodes" in self.model_fields_set and self.num_successes > self.num_episodes:
            raise ValueError("there are more successes than episodes")
        return self


_FOUND = object_form(_Found)


@dataclass(frozen=True)
class Markers:
    """Files that finished stages leave, with what they found.

    Attributes:
        file: Of a stage, by name.
        after: What each stage needs the results of, by name; in the order of the stages.
        made: Output of stages without which they are not done.
    """

    file: Callable[[str], Path]
    after: Mapping[str, Sequence[str]]
    made: Mapping[str, Path] = field(default_factory=dict)

    def is_done(self, stage: str) -> bool:
        """Whether a stage has left its marker, and what it made is still there."""
        made = self.made.get(stage)
        return self.file(stage).exists() and (made is None or made.exists())

    def summary(self, stage: str, *needed: str) -> Summary:
        """Returns what a finished stage found, and its ``seconds`` and ``core_seconds``.

        The latter is CPU time of all threads of this process: Ray's workers are not in it, nor are
        parts of the stage that were interrupted.

        Args:
            stage: Its name.
            needed: What it must have found.

        Raises:
            UserError: The marker is damaged.
        """
        path = self.file(stage)
        advice = f"Restore it, or delete it: the same command then runs {stage} again."
        found = read_stored(path, _FOUND, advice)
        if lacking := [name for name in needed if name not in found]:
            raise damaged(str(path), f"{lacking[0]} is missing", advice)
        return found

    def mark(self, stage: str, summary: Summary) -> None:
        """Leaves the marker of a finished stage."""
        write_json(self.file(stage), summary)

    def forget(self, stage: str) -> None:
        """Removes the markers of a stage and of all that need it, which have to run again."""
        gone = {stage}
        for later, needed in self.after.items():
            if later == stage or gone.intersection(needed):
                gone.add(later)
                path = self.file(later)
                if path.is_dir():
                    raise damaged(str(path), "it is a folder", "Delete it, and call again.")
                path.unlink(missing_ok=True)


def plain(_stage: str, summary: Summary) -> str:
    """Returns what a stage found, in words, if nobody knows better."""
    return ", ".join(_words(key.replace("_", " "), value) for key, value in summary.items())


def _words(name: str, value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,} {name.removesuffix('s') if value == 1 else name}"
    return f"{name} {value:.4g}" if isinstance(value, float) else str(value)


def run_stages(
    stages: Mapping[str, Callable[[], Summary]],
    markers: Markers,
    progress: Progress,
    sentence: Callable[[str, Summary], str] = plain,
) -> None:
    """Runs the stages that are not done, one after another.

    A stage spreads its own work over the machine or the cluster, and resumes where it was killed.

    Args:
        stages: What each does, by name, after those that it needs.
        markers: Theirs.
        progress: Told of each stage's begin, and of its end also if it was done before.
        sentence: Says what a stage found.
    """
    for name, run in stages.items():
        done = markers.is_done(name)
        if not done:
            markers.forget(name)  # and what was made from the old result
            progress.start(name)
            markers.mark(name, _timed(run))
        summary = markers.summary(name, "seconds")
        seconds, _ = summary.pop("seconds"), summary.pop("core_seconds", None)
        progress.finish(name, ("already done: " if done else "") + sentence(name, summary), seconds)


def _timed(run: Callable[[], Summary]) -> Summary:
    wall, cores = time.monotonic(), time.process_time()
    found = run()
    took = {"seconds": time.monotonic() - wall, "core_seconds": time.process_time() - cores}
    return {**found, **{name: round(seconds, 1) for name, seconds in took.items()}}
