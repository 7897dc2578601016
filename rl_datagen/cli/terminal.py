"""The display on a terminal: finished stages scroll by, the one that runs stays at the bottom.

A finished stage is a line of text like any other, so log lines come in between, and nothing that
is over takes room from what runs.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rl_datagen.cli.stages import COLUMNS, Stage, cells
from rl_datagen.core.durations import duration

_NAME = 16  # columns of a stage's name
_MIN_BAR, _MAX_BAR = 8, 40
_DOTS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Terminal:
    """A ``Progress`` that is shown.

    Args:
        console: Where.
        clock: Says the time, in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._stage: Stage | None = None
        # Log lines go through the console too, and do not tear the display.
        self._live = Live(
            get_renderable=self.frame,
            console=console,
            transient=True,
            refresh_per_second=4,
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        stage = self._stage
        if stage and (stage.total is not None or kind):
            count = ", ".join(filter(None, [stage.count, stage.detail]))
            self._end(stage.name, count, stage.seconds, good=kind is None)
        self._stage = None
        self._live.stop()

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """A stage begins, or its next part."""
        if self._stage is None or self._stage.name != stage:
            self._stage = Stage(stage, self._clock)
        self._stage.part(total, unit)

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Some units are done."""
        if self._stage:
            self._stage.advance(units, detail)

    def say(self, activity: str) -> None:
        """What the stage is at now."""
        if self._stage:
            self._stage.activity = activity

    def iteration(self, row: dict[str, Any]) -> None:
        """A unit of learning is done."""
        if self._stage:
            self._stage.iteration(row)

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done."""
        self._stage = None
        self._end(stage, detail, seconds)

    def frame(self) -> RenderableType:
        """Returns what is shown of the stage that runs: a line or two, and the last iterations."""
        stage = self._stage
        if stage is None:
            return Group()
        parts: list[RenderableType] = [self._bar(stage)]
        if stage.news:
            news = Text(stage.news, style="dim", no_wrap=True, overflow="ellipsis")
            parts.append(Padding(news, (0, 0, 0, _NAME + 1)))
        if stage.rows:
            parts.append(_iterations(stage))
        return Group(*parts)

    def _bar(self, stage: Stage) -> RenderableType:
        times = ", ".join(filter(None, [duration(stage.seconds), stage.left]))
        tail = "  ".join(filter(None, [stage.count, times]))
        room = self._console.width - max(_NAME, len(stage.name)) - len(tail) - 4
        row = Table.grid(padding=(0, 2, 0, 0))
        cells: list[RenderableType] = [Text(f"{stage.name:{_NAME - 1}}", no_wrap=True)]
        if stage.total is None:
            cells.append(_DOTS[int(self._clock() * 4) % len(_DOTS)])
        elif room >= _MIN_BAR:
            bar = ProgressBar(max(stage.total, 1), stage.done, width=min(room, _MAX_BAR))
            cells.append(bar)
        row.add_row(*cells, Text(tail, no_wrap=True, overflow="ellipsis"))
        return row

    def _end(self, stage: str, detail: str, seconds: float, *, good: bool = True) -> None:
        mark, style = ("✓", "green") if good else ("✗", "bold red")
        line = Text.assemble(
            f"{stage:{_NAME}} ", (mark, style), f" {duration(seconds):>6}  {detail}".rstrip()
        )
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def _iterations(stage: Stage) -> Table:
    table = Table("iteration", *COLUMNS, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in stage.rows:
        table.add_row(str(row["iteration"]), *cells(row).values())
    return table
