"""How far a run is: bars and a table on a terminal, one line per event elsewhere."""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from rl_datagen.runtime.progress import Progress

_SECONDS_BETWEEN_LINES = 8.0
_SECONDS_OF_SILENCE = 10.0
_ROWS = 12  # iterations that the table shows

_COLUMNS = {
    "success": ("success_rate", "{:.1%}"),
    "length": ("episode_len_mean", "{:.0f}"),
    "KL": ("approx_kl", "{:.4f}"),
    "clipped": ("clip_fraction", "{:.1%}"),
    "steps/s": ("env_steps_per_second", "{:.0f}"),
    "evaluated": ("evaluation_success_rate", "{:.1%}"),
}
"""Heading, key in a row of the learning curve, format. A row may lack a value."""


@contextmanager
def show_progress() -> Generator[Progress]:
    """Yields the kind of progress that suits standard output; at the end the last stage is done."""
    console = Console()
    if not console.is_terminal:
        with _Lines() as lines:
            yield lines
        return
    bars = _BarsWithTable(
        TextColumn("{task.description:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )
    with bars, _Bars(bars) as shown:
        yield shown


def _cells(row: dict[str, Any]) -> dict[str, str]:
    values = {heading: row.get(key) for heading, (key, _) in _COLUMNS.items()}
    return {
        heading: "" if value is None else _COLUMNS[heading][1].format(value)
        for heading, value in values.items()
    }


class _BarsWithTable(Bars):
    """Bars below the last iterations."""

    def __init__(self, *columns: Any, **options: Any) -> None:
        self.rows: deque[dict[str, Any]] = deque(maxlen=_ROWS)
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yields the table and the bars."""
        if self.rows:
            table = Table("iteration", *_COLUMNS)
            for row in list(self.rows):
                table.add_row(str(row["iteration"]), *_cells(row).values())
            yield table
        yield from super().get_renderables()


class _Bars:
    """One bar per stage."""

    def __init__(self, bars: _BarsWithTable) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._task is not None and kind is None:
            self._bars.stop_task(self._task)

    def start(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total, detail="")

    def advance(self, units: int = 1, detail: str = "") -> None:
        if self._task is not None:
            self._bars.update(self._task, advance=units, detail=detail)

    def iteration(self, row: dict[str, Any]) -> None:
        self._bars.rows.append(row)
        if self._task is not None:
            self._bars.update(self._task, completed=row["iteration"])

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        if self._task is None:  # finished by an earlier run
            self._task = self._bars.add_task(stage, total=1, completed=1, detail="")
        total = self._bars.tasks[self._task].total
        self._bars.update(self._task, completed=total, detail=detail)
        self._bars.stop_task(self._task)
        self._task = None


class _Lines:
    """A line when a stage begins, now and then while it runs, and when it ends."""

    def __init__(self) -> None:
        self._stage, self._total, self._done, self._last = "", 0, 0, time.monotonic()
        self._detail = ""
        self._begin = self._last
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        if self._stage and kind is None:
            done = f"{self._done}/{self._total} {self._detail}".strip()
            self.finish(self._stage, done, time.monotonic() - self._begin)

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._begin = stage, total, 0, time.monotonic()
        self._detail = ""
        self._say(f"{stage}: begins ({total})")

    def advance(self, units: int = 1, detail: str = "") -> None:
        self._done += units
        self._detail = detail
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._say(f"{self._stage}: {self._done}/{self._total} {detail}".rstrip())

    def iteration(self, row: dict[str, Any]) -> None:
        self._done = row["iteration"]
        cells = " ".join(f"{heading}={cell}" for heading, cell in _cells(row).items() if cell)
        self._say(f"{self._stage}: {row['iteration']}/{self._total} {cells}")

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        self._stage = ""
        self._say(f"{stage}: done in {seconds:.0f} s: {detail}".rstrip(": "))

    def _beat(self) -> None:
        """Says after every ten seconds without a line that the stage is still at work."""
        while not self._ended.wait(1):
            if self._stage and time.monotonic() - self._last >= _SECONDS_OF_SILENCE:
                seconds = time.monotonic() - self._begin
                self._say(f"{self._stage}: {self._done}/{self._total}, {seconds:.0f} s")

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        print(line, flush=True)
