"""Progress of a run, as jobs and stages report it; the command line shows it."""

from typing import Any, Protocol


class Progress(Protocol):
    """Where a run tells how far it is."""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """A stage begins, or its next part.

        Args:
            stage: Its name.
            total: How many units it has; None: nobody knows yet.
            unit: What they are, in the plural.
        """
        ...

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Some units are done; ``detail`` says how it goes."""
        ...

    def say(self, activity: str) -> None:
        """What the stage is at now."""
        ...

    def iteration(self, row: dict[str, Any]) -> None:
        """A unit of learning is done; ``row`` is its line of the learning curve."""
        ...

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done; ``detail`` says what came of it."""
        ...


class Silent:
    """A ``Progress`` that nobody follows."""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Says nothing."""

    def advance(self, units: int = 1, detail: str = "") -> None:
        """Says nothing."""

    def say(self, activity: str) -> None:
        """Says nothing."""

    def iteration(self, row: dict[str, Any]) -> None:
        """Says nothing."""

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """Says nothing."""


SILENT = Silent()
