"""The stage that runs: how far it is, how quick, and how long it will take."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rl_datagen.core.durations import duration

_SECONDS_OF_RATE = 60.0  # of the last so many
_MIN_POINTS = 10  # or of so many advances, if they are rarer
_ROWS = 8  # iterations that are kept

COLUMNS = {
    "success": ("success_rate", "{:.1%}"),
    "length": ("episode_len_mean", "{:.0f}"),
    "KL": ("approx_kl", "{:.4f}"),
    "clipped": ("clip_fraction", "{:.1%}"),
    "steps/s": ("env_steps_per_second", "{:.0f}"),
    "evaluated": ("evaluation_success_rate", "{:.1%}"),
}
"""Heading, key in a row of the learning curve, format. A row may lack a value."""


def cells(row: dict[str, Any]) -> dict[str, str]:
    """Returns an iteration's values by heading, as text."""
    values = {heading: row.get(key) for heading, (key, _) in COLUMNS.items()}
    return {
        heading: "" if value is None else COLUMNS[heading][1].format(value)
        for heading, value in values.items()
    }


class Stage:
    """What is known of the stage that runs.

    Attributes:
        name: Its name.
        begin: When it began, by the clock.
        total: Units of the part that runs; None: not known.
        unit: What they are.
        done: How many of them are done; more than the total may be told, and is not shown.
        detail: How it goes.
        activity: What it is at.
        rows: The last iterations of learning.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self._clock, self.begin = name, clock, clock()
        self.rows: deque[dict[str, Any]] = deque(maxlen=_ROWS)
        self.part(None, "")

    def part(self, total: int | None, unit: str) -> None:
        """Begins the next part, which is counted from 0."""
        self.total, self.unit, self._told = total, unit, 0
        self.detail = self.activity = ""
        self._points = deque([(self._clock(), 0)])

    def advance(self, units: int, detail: str) -> None:
        """Takes what was told."""
        self._told += units
        self.detail = detail
        if units or detail:
            self.activity = ""
        if units:
            self._points.append((self._clock(), self.done))
        while len(self._points) > _MIN_POINTS and self._age > _SECONDS_OF_RATE:
            self._points.popleft()

    def iteration(self, row: dict[str, Any]) -> None:
        """Takes a row of the learning curve."""
        self.rows.append(row)
        self.advance(row["iteration"] - self._told, "")

    @property
    def done(self) -> int:
        """Units that are done."""
        return self._told if self.total is None else min(self._told, self.total)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self.begin

    @property
    def count(self) -> str:
        """How much of it is done."""
        if self.total is None:
            return ""
        return f"{self.done}/{self.total} {self.unit}".rstrip()

    @property
    def rate(self) -> float | None:
        """Units a second of late; None: not known yet."""
        units = self.done - self._points[0][1]
        return units / self._age if units > 0 and self._age > 0 else None

    @property
    def pace(self) -> str:
        """The rate in words."""
        rate = self.rate
        if rate is None or self.rows:  # iterations are few; their env steps have a rate
            return ""
        for factor, per in ((1, "s"), (60, "min")):
            if rate * factor >= 1:
                return f"{rate * factor:.{1 if rate * factor < 10 else 0}f}/{per}"
        return f"{rate * 3600:.0f}/h"

    @property
    def left(self) -> str:
        """How long the part that runs will still take, in words."""
        if self.total is None or self._is_done or not (rate := self.rate):
            return ""
        return f"{duration((self.total - self.done) / rate)} left"

    @property
    def news(self) -> str:
        """What it is at, how quick and how well, in words."""
        if self._is_done and self.activity:  # of what comes after what is counted
            return self.activity
        return ", ".join(filter(None, [self.activity, self.pace, self.detail]))

    @property
    def _is_done(self) -> bool:
        return self.done == self.total

    @property
    def _age(self) -> float:
        return self._clock() - self._points[0][0]
