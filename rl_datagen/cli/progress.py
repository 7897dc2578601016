"""How far a run is: bars on a terminal, one line per event elsewhere."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from rl_datagen.quickstart import Progress

_SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def show_progress() -> Generator[Progress]:
    """Yields the kind of progress that suits standard output."""
    console = Console()
    if not console.is_terminal:
        yield _Lines()
        return
    bars = Bars(
        TextColumn("{task.description:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )
    with bars:
        yield _Bars(bars)


class _Bars:
    """One bar per stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def start(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total, detail="")

    def advance(self, units: int = 1, detail: str = "") -> None:
        if self._task is not None:
            self._bars.update(self._task, advance=units, detail=detail)

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
        self._stage, self._total, self._done, self._last = "", 0, 0, 0.0

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._last = stage, total, 0, time.monotonic()
        print(f"{stage}: begins ({total})", flush=True)

    def advance(self, units: int = 1, detail: str = "") -> None:
        self._done += units
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(f"{self._stage}: {self._done}/{self._total} {detail}".rstrip(), flush=True)

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        print(f"{stage}: done in {seconds:.0f} s: {detail}", flush=True)
