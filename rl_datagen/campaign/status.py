"""What a campaign has done and has left to do, told from its trials' state files alone."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from rl_datagen.campaign.state import DONE, Successes, TrialState
from rl_datagen.core.intervals import SuccessRate
from rl_datagen.core.paths import without_credentials
from rl_datagen.tasks import SUITES

STATES = ("finished", "running", "pending", "failed", "stopped")

_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # of terminals, in errors


@dataclass(frozen=True)
class Summary:
    """Some trials of a campaign, added up.

    Attributes:
        name: The suite, or ``"total"``.
        counts: Trials in each state.
        before: Success of the warm-started policies. Once some trials are evaluated afterwards, of
            those trials only, so that both rates are of the same tasks.
        after: Success of the finished experts.
        env_steps: Taken so far.
        env_steps_per_second: Of the running trials together; None if none runs.
        hours: Trial hours spent.
        retries: Trials begun again after a fault.
        cost: Of those hours; None without a price.
        seconds_left: About; None as long as nothing tells.
    """

    name: str
    counts: dict[str, int]
    before: SuccessRate | None
    after: SuccessRate | None
    env_steps: int
    env_steps_per_second: float | None
    hours: float
    retries: int
    cost: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Campaign:
    """A campaign at one moment.

    Attributes:
        name: Its name.
        folder: Its folder or URI.
        trials: In the order of the tasks.
        time: Of this look at it, in seconds since 1970.
        max_concurrent_trials: Trials that may run at a time, if that is limited.
        cost_per_hour: Price of a trial's hour.
        confidence: Level of the Wilson intervals.
        links: Where else to look: title and address.
        waiting: What the driver says it waits for; None: nothing, as far as is known.
    """

    name: str
    folder: str
    trials: Sequence[TrialState]
    time: float = field(default_factory=time.time)
    max_concurrent_trials: int | None = None
    cost_per_hour: float | None = None
    confidence: float = 0.95
    links: tuple[tuple[str, str], ...] = ()
    waiting: str | None = None

    def of(self, *states: str) -> list[TrialState]:
        """Returns the trials in one of these states."""
        return [trial for trial in self.trials if trial.state in states]

    @cached_property
    def typical_seconds(self) -> float | None:
        """Length of a trial: the mean of those done, or else what running ones promise."""
        finished = [trial.seconds for trial in self.of(*DONE)]
        promised = [
            trial.seconds * trial.num_iterations / trial.iteration
            for trial in self.of("running")
            if trial.iteration
        ]
        lengths = finished or promised
        return sum(lengths) / len(lengths) if lengths else None

    @property
    def silence(self) -> float | None:
        """Seconds since a trial was last heard of."""
        heard = max(trial.updated for trial in self.trials)
        return max(self.time - heard, 0) if heard else None

    @property
    def width(self) -> int:
        """Trials at a time: as many as run now, or as may run if none does."""
        return len(self.of("running")) or self.max_concurrent_trials or 1

    @cached_property
    def total(self) -> Summary:
        """All trials."""
        return self._summary("total", self.trials)

    @cached_property
    def suites(self) -> tuple[Summary, ...]:
        """The trials suite by suite."""
        groups = {suite: [t for t in self.trials if _suite(t) == suite] for suite in SUITES}
        return tuple(self._summary(suite, trials) for suite, trials in groups.items() if trials)

    def seconds_left(self, trial: TrialState) -> float | None:
        """Returns about how long a trial still takes once it runs; None if nothing tells."""
        if trial.state not in ("pending", "running"):
            return None
        if trial.iteration:
            remaining = trial.num_iterations - trial.iteration
            return remaining * trial.seconds / trial.iteration
        if self.typical_seconds is None:
            return None
        return max(self.typical_seconds - trial.seconds, 0)

    def cost(self, seconds: float) -> float | None:
        """Returns the price of so much time of a trial."""
        return None if self.cost_per_hour is None else self.cost_per_hour * seconds / 3600

    def as_json(self) -> dict[str, Any]:
        """Returns everything, JSON-ready."""
        trials = [{**asdict(t), "seconds_left": self.seconds_left(t)} for t in self.trials]
        return {
            "name": self.name,
            "folder": without_credentials(self.folder),
            "time": self.time,
            "waiting": self.waiting,
            "total": self._summary_json(self.total),
            "suites": [self._summary_json(suite) for suite in self.suites],
            "trials": trials,
        }

    def _summary(self, name: str, trials: Sequence[TrialState]) -> Summary:
        counts = Counter(trial.state for trial in trials)
        evaluated = [trial for trial in trials if trial.success_after]
        speeds = [trial.env_steps_per_second or 0 for trial in trials if trial.state == "running"]
        seconds = sum(trial.seconds for trial in trials)
        return Summary(
            name=name,
            counts={state: counts[state] for state in STATES},
            before=_pool("before", (trial.success_before for trial in evaluated or trials)),
            after=_pool("after", (trial.success_after for trial in evaluated)),
            env_steps=sum(trial.env_steps for trial in trials),
            env_steps_per_second=sum(speeds) if speeds else None,
            hours=seconds / 3600,
            retries=sum(trial.retries for trial in trials),
            cost=self.cost(seconds),
            seconds_left=self._wall_seconds_left(trials),
        )

    def _wall_seconds_left(self, trials: Iterable[TrialState]) -> float | None:
        left = [self.seconds_left(t) for t in trials if t.state in ("running", "pending")]
        known = [seconds for seconds in left if seconds is not None]
        if len(known) < len(left):
            return None
        return max(sum(known) / self.width, *known) if known else 0.0

    def _summary_json(self, summary: Summary) -> dict[str, Any]:
        rates = {"before": summary.before, "after": summary.after}
        return asdict(summary) | {
            moment: None
            if rate is None
            else {
                "num_successes": rate.num_successes,
                "num_episodes": rate.num_episodes,
                "success_rate": rate.rate,
                "success_ci_low": rate.interval(self.confidence)[0],
                "success_ci_high": rate.interval(self.confidence)[1],
            }
            for moment, rate in rates.items()
        }


def success(trial: TrialState, moment: str) -> SuccessRate | None:
    """Returns a trial's success ``before`` or ``after``; None if it was not evaluated yet."""
    return _pool(moment, [getattr(trial, f"success_{moment}")])


def error_line(trial: TrialState) -> str:
    """Returns the first line of a trial's error, without colours and control characters."""
    lines = [line.strip() for line in _CONTROL.sub("", trial.error or "").splitlines()]
    return next((line for line in lines if line), "no error was recorded")


def percent(rate: SuccessRate | None, confidence: float) -> tuple[str, str]:
    """Returns a rate and its interval as ``"92%", "81-97"``, or two empty strings."""
    if rate is None:
        return "", ""
    low, high = rate.interval(confidence)
    return f"{rate.rate:.0%}", f"{100 * low:.0f}-{100 * high:.0f}"


def short(value: float | None) -> str:
    """Returns a count in at most five characters: ``"980"``, ``"43.2k"``, ``"1.3M"``."""
    if value is None or abs(value) < 999.5:
        return "" if value is None else f"{value:.0f}"
    unit, size = next(u for u in (("k", 1e3), ("M", 1e6), ("G", 1e9)) if value < 999.5 * u[1])
    return f"{value / size:.{1 if value < 99.95 * size else 0}f}".removesuffix(".0") + unit


def money(value: float | None) -> str:
    """Returns an amount in at most five characters: ``"8.37"``, ``"412"``, ``"12.5k"``."""
    return short(value) if value is None or value >= 9.995 else f"{value:.2f}"


def _pool(name: str, parts: Iterable[Successes | None]) -> SuccessRate | None:
    known = [part for part in parts if part and part.num_episodes]
    if not known:
        return None
    successes = sum(part.num_successes for part in known)
    return SuccessRate(name, successes, sum(part.num_episodes for part in known))


def _suite(trial: TrialState) -> str:
    return trial.task.split("/")[0]
