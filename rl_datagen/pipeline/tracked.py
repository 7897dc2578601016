"""A run that no other process is at, and which trackers may be told of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.run import Run, run_stages
from rl_datagen.runtime.tracking import CAMPAIGN_METRICS, Tracker, make_trackers, tracked
from rl_datagen.runtime.workdir import lock_folder

_METRICS = (*CAMPAIGN_METRICS, "train_loss")
_MOMENTS = {"evaluate_before": "success_rate_before", "evaluate_after": "success_rate_after"}


def run_alone(
    run: Run,
    stages: Mapping[str, Callable[[Run], Summary]],
    *,
    fresh: bool = False,
    track: Sequence[str] = (),
) -> None:
    """Runs the stages as ``run_stages`` does, unless another process is at this run.

    Args:
        run: The run.
        stages: Some of those in ``ORDER``, by name.
        fresh: Delete what an earlier run of this name left, and start over.
        track: Some of ``runtime.tracking.TRACKERS``.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: Another process is at this run.
    """
    with lock_folder(run.folder), _tracked_run(run, track) as watched:
        run_stages(watched, stages, fresh=fresh)


@contextmanager
def _tracked_run(run: Run, kinds: Sequence[str]) -> Iterator[Run]:
    """A run that is tracked, as ``<name> <task>`` of the experiment ``experts``.

    Called again for a run that was stopped, it goes on in the same place.

    Args:
        run: The run.
        kinds: Some of ``runtime.tracking.TRACKERS``; none: the run as it is.

    Yields:
        The run to use in its stead.
    """
    if not kinds:
        yield run
        return
    config, name = run.config, f"{run.config.name} {run.task.id}"
    tracker = make_trackers(kinds, "experts", _METRICS, Path(config.output_dir, "runs").absolute())
    parameters = {"task": run.task.id, "policy": config.policy.kind, "seed": config.seed}
    algo = {"num_iterations": config.algo.num_iterations, "lr": config.algo.lr}
    tracker.open([name], parameters | algo)
    with tracked(tracker, name, run.expert):
        yield replace(run, progress=_Tracked(run, tracker, name))


class _Tracked:
    """A ``Progress`` that tells trackers of iterations and of what stages found."""

    def __init__(self, run: Run, tracker: Tracker, name: str) -> None:
        self._run, self._progress = run, run.progress
        self._tracker, self._name = tracker, name
        self._iteration = 0
        self._at: str | None = None  # the stage that works; one that was done before does not

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """A stage begins, or its next part."""
        self._at = stage
        self._progress.start(stage, total, unit)

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Some units are done."""
        self._progress.advance(units, detail)

    def say(self, activity: str) -> None:
        """What the stage is at now."""
        self._progress.say(activity)

    def iteration(self, row: dict[str, Any]) -> None:
        """A unit of learning is done."""
        self._iteration = row["iteration"]
        self._tracker.log(self._name, row)
        self._progress.iteration(row)

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done, now or before."""
        self._progress.finish(stage, detail, seconds)
        found = self._run.markers.summary(stage)
        self._iteration = max(self._iteration, int(found.get("iterations", 0)))
        if self._at == stage and stage in _MOMENTS:
            row = {"iteration": self._iteration, _MOMENTS[stage]: found.get("success_rate")}
            self._tracker.log(self._name, row)
