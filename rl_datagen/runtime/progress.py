"""Progress of a run, as jobs and stages report it; the command line shows it."""

from typing import Any, Protocol


class Progress(Protocol):
    """Where a run tells how far it is."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` units begins."""
        ...

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Some units are done."""
        ...

    def iteration(self, row: dict[str, Any]) -> None:
        """A unit of learning is done; ``row`` is its line of the learning curve."""
        ...

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done."""
        ...


class Silent:
    """A ``Progress`` that nobody follows."""

    def start(self, stage: str, total: int) -> None:
        """Says nothing."""

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Says nothing."""

    def iteration(self, row: dict[str, Any]) -> None:
        """Says nothing."""

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """Says nothing."""


SILENT = Silent()
