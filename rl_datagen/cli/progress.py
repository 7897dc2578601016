"""How far a run is: a live display on a terminal, one line per event elsewhere."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console, RenderableType

from rl_datagen.cli.stages import Stage, cells
from rl_datagen.cli.terminal import Terminal
from rl_datagen.core.progress import SILENT, Progress

LOADING = "loads PyTorch, Ray and LIBERO"
_SECONDS_BETWEEN_LINES = 8.0
_SECONDS_OF_SILENCE = 10.0


@contextmanager
def show_progress(activity: str = LOADING, *, quiet: bool = False) -> Generator[Progress]:
    """Yields the kind of progress that suits standard output; at the end the last stage is done.

    Args:
        activity: What is done before the first stage begins.
        quiet: Show nothing: standard output is for a program.
    """
    if quiet:
        yield SILENT
        return
    console = Console()
    live = console.is_terminal and not console.is_dumb_terminal
    with Terminal(console) if live else Lines() as progress:
        progress.start("prepare")
        progress.say(activity)
        yield progress


def print_above(console: Console, shown: RenderableType) -> None:
    """Prints something while progress is shown, above it."""
    with console.capture() as captured:
        console.print(shown)
    print(captured.get(), end="", flush=True)


class Lines:
    """A line when a stage begins, now and then while it runs, and when it ends.

    Args:
        clock: Says the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage: Stage | None = None
        self._clock, self._last = clock, clock()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        stage = self._stage
        if stage and stage.total is not None and kind is None:
            self.finish(
                stage.name, ", ".join(filter(None, [stage.count, stage.detail])), stage.seconds
            )

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """A stage begins, or its next part."""
        again = self._stage is not None and self._stage.name == stage
        if not again:
            self._stage = Stage(stage, self._clock)
        assert self._stage
        self._stage.part(total, unit)
        size = "" if total is None else f"{total} {unit}".rstrip()
        if again and size:
            self._say(f"{stage}: {size}")
        elif not again and stage != "prepare":
            self._say(f"{stage}: begins{f' ({size})' if size else ''}")

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Some units are done."""
        if self._stage:
            self._stage.advance(units, detail)
            if self._clock() - self._last >= _SECONDS_BETWEEN_LINES:
                known = filter(None, [self._stage.count, detail])
                self._say(f"{self._stage.name}: {', '.join(known)}")

    def say(self, activity: str) -> None:
        """What the stage is at now; said when nothing else is."""
        if self._stage:
            self._stage.activity = activity
            if self._stage.name == "prepare":
                self._say(f"{self._stage.name}: {activity}")

    def iteration(self, row: dict[str, Any]) -> None:
        """A unit of learning is done."""
        if self._stage:
            self._stage.iteration(row)
            shown = " ".join(f"{heading}={cell}" for heading, cell in cells(row).items() if cell)
            self._say(f"{self._stage.name}: {row['iteration']}/{self._stage.total} {shown}")

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done."""
        self._stage = None
        self._say(f"{stage}: done in {seconds:.0f} s: {detail}".rstrip(": "))

    def _beat(self) -> None:
        """Says after every ten seconds without a line that the stage is still at work."""
        while not self._ended.wait(1):
            stage = self._stage
            if stage and self._clock() - self._last >= _SECONDS_OF_SILENCE:
                known = (stage.count, f"{stage.seconds:.0f} s", stage.activity)
                self._say(f"{stage.name}: {', '.join(filter(None, known))}")

    def _say(self, line: str) -> None:
        self._last = self._clock()
        print(line, flush=True)
