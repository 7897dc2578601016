"""Stages that need each other, run once each; what was killed goes on after the last one."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import write_json

Summary = dict[str, Any]
"""What a stage found, JSON-ready."""


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

    def summary(self, stage: str) -> Summary:
        """Returns what a finished stage found, and its ``seconds``."""
        return json.loads(self.file(stage).read_text("utf-8"))

    def mark(self, stage: str, summary: Summary) -> None:
        """Leaves the marker of a finished stage."""
        write_json(self.file(stage), summary)

    def forget(self, stage: str) -> None:
        """Removes the markers of a stage and of all that need it, which have to run again."""
        gone = {stage}
        for later, needed in self.after.items():
            if later == stage or gone.intersection(needed):
                gone.add(later)
                self.file(later).unlink(missing_ok=True)


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

    A stage spreads its own work over the machine or the cluster, and goes on where it was killed.

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
            begin = time.monotonic()
            found = run()
            markers.mark(name, {**found, "seconds": round(time.monotonic() - begin, 1)})
        summary = markers.summary(name)
        seconds = summary.pop("seconds")
        progress.finish(name, ("already done: " if done else "") + sentence(name, summary), seconds)
