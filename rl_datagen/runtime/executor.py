"""Jobs of many units: what is missing is run, here or on Ray, and stored unit by unit."""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rl_datagen.core.errors import DiskError, SimulatorError, UserError
from rl_datagen.core.progress import SILENT, Progress

Key = TypeVar("Key")
Unit = TypeVar("Unit")
Result = TypeVar("Result")

_SHOWN = 8  # problems that a message names


class Tell(Protocol):
    """Where a unit says how far it is, from whichever machine it runs on."""

    def __call__(self, done: int = 0, **counts: float) -> None:
        """Reports on the unit.

        Args:
            done: How much of ``Job.num_missing`` is done now.
            counts: What is added to the job's counts, for ``Job.describe``.
        """
        ...


class Job(ABC, Generic[Key, Unit, Result]):
    """Work in units, each of which is run apart from the others and stored by itself.

    A subclass says which units there are, which of them are stored, what one takes and how its
    result is kept. It inherits the rest: only what is missing is run, on as many cores as there
    are; a worker that dies is replaced; a unit that fails leaves the others alone; a job that was
    killed resumes where it was; progress, and one message about what is missing at the end.

    ``run`` goes to a worker with its unit alone. All other methods are called in the driver.

    Attributes:
        name: Of its stage.
        noun: What ``size`` counts, in the plural.
        folder: Where results lie.
        num_workers: Units worked on at a time; None: as many as the cluster has cores.
        num_gpus: GPU share of each unit.
        num_in_process: So few units are run here, since they are not worth Ray's start. All are,
            one after the other, where Ray is not installed.
        advice: What ``Outcome.check`` adds to its last sentence.
    """

    name: str
    noun: str = "episodes"
    folder: Path
    num_workers: int | None = None
    num_gpus: float = 0
    num_in_process: int = 1
    advice: str = ""

    @abstractmethod
    def keys(self) -> Sequence[Key]:
        """Returns what names each unit, stored or not."""

    @abstractmethod
    def is_done(self, key: Key) -> bool:
        """Whether a unit's result is stored."""

    @abstractmethod
    def unit(self, key: Key) -> Unit | None:
        """Returns what a worker needs, when one is free; None: it is of no use to run it now.

        Raises:
            UserError: The unit cannot be run; the others can.
        """

    @staticmethod
    @abstractmethod
    def run(unit: Unit, tell: Tell) -> Result:
        """Does the work.

        Raises:
            UserError: It cannot be done, which the message says; the others can.
            SimulatorError: As above.
        """

    @abstractmethod
    def store(self, unit: Unit, result: Result) -> str | None:
        """Keeps a result; returns a sentence if it is not all that was asked for."""

    def size(self, key: Key) -> int:
        """Returns how much a unit is, for progress and message."""
        return 1

    def num_missing(self, key: Key) -> int:
        """Returns how much of ``size`` is not stored; all or nothing, unless a job knows better."""
        return 0 if self.is_done(key) else self.size(key)

    def label(self, key: Key) -> str:
        """Returns what a problem's sentence begins with."""
        return str(key)

    def describe(self, counts: Mapping[str, float], seconds: float) -> str:
        """Returns a word on what was counted, for the progress."""
        return ""


@dataclass(frozen=True)
class Problem:
    """Why a unit has no result."""

    sentence: str


@dataclass(frozen=True)
class Outcome:
    """What a job came to.

    Attributes:
        job: The job.
        total: Size of all its units.
        missing: Size of those that are not stored.
        problems: A sentence for each unit that did not end well.
    """

    job: Job[Any, Any, Any]
    total: int
    missing: int
    problems: tuple[str, ...]

    def check(self) -> None:
        """Raises if something is missing.

        Raises:
            UserError: It says how much, where the rest is, why, and what to do.
        """
        if self.missing:
            job, found = self.job, list(dict.fromkeys(self.problems))
            more = f" ({len(found) - _SHOWN} more problems.)" if len(found) > _SHOWN else ""
            others = f"; the others are in {job.folder}" if self.missing < self.total else ""
            raise UserError(
                f"{self.missing} of {self.total} {job.noun} are missing{others}. "
                f"{' '.join(found[:_SHOWN])}{more} The same command resumes with what is "
                f"missing{job.advice}."
            )


def execute(job: Job[Key, Unit, Result], progress: Progress = SILENT) -> Outcome:
    """Runs what is missing of a job.

    Args:
        job: The job.
        progress: Told how far it is.
    """
    keys = job.keys()
    missing = [key for key in keys if not job.is_done(key)]
    meter = _Meter(job, progress, {key: job.num_missing(key) for key in missing})
    alone = len(missing) <= job.num_in_process or find_spec("ray") is None
    results = _run_here if alone else _run_on_ray
    problems: list[str] = []
    for key, unit, result in results(job, missing, meter):
        found = result.sentence if isinstance(result, Problem) else job.store(unit, result)
        if found:
            problems.append(f"{job.label(key)}: {found}")
        meter.ended(key)
    left = sum(map(job.num_missing, keys))
    return Outcome(job, sum(map(job.size, keys)), left, tuple(problems))


_Ended = tuple[Key, Any, Result | Problem]  # a unit is what its job says, or None without one


def _run_here(
    job: Job[Key, Unit, Result], missing: Sequence[Key], meter: "_Meter"
) -> Iterator[_Ended[Key, Result]]:
    for key in missing:
        unit = _prepare(job, key)
        if isinstance(unit, Problem):
            yield key, None, unit
        elif unit is not None:
            yield key, unit, _attempt(job.run, unit, _Teller(meter.tell, key))


def _run_on_ray(
    job: Job[Key, Unit, Result], missing: Sequence[Key], meter: "_Meter"
) -> Iterator[_Ended[Key, Result]]:
    import ray  # an installation that only steps the simulator has none, and runs all units here

    from rl_datagen.runtime.cluster import map_units, ray_session

    meter.say("starts Ray and its workers")
    with ray_session(job.folder / ".ray.log", job.num_workers):
        board: Any = ray.remote(num_cpus=0)(Board).remote()
        meter.read = lambda ended: ray.get(board.read.remote(ended))
        unprepared: list[tuple[Key, Problem]] = []

        def work() -> Iterator[_Work]:
            for key in missing:
                unit = _prepare(job, key)
                if isinstance(unit, Problem):
                    unprepared.append((key, unit))
                elif unit is not None:
                    yield _Work(key, job.run, unit, _Teller(board.tell.remote, key))

        for each, result in map_units(
            _run_work, work(), job.num_workers, on_wait=meter.look, num_gpus=job.num_gpus
        ):
            yield each.key, each.unit, result
        yield from ((key, None, problem) for key, problem in unprepared)


@dataclass(frozen=True)
class _Work:
    """A unit on its way to a worker."""

    key: Any
    run: Callable[..., Any]
    unit: Any
    tell: Tell


def _run_work(work: _Work) -> Any:
    return _attempt(work.run, work.unit, work.tell)


def _prepare(job: Job[Key, Unit, Result], key: Key) -> Unit | Problem | None:
    try:
        return job.unit(key)
    except UserError as error:
        return Problem(str(error))


def _attempt(run: Callable[[Unit, Tell], Result], unit: Unit, tell: Tell) -> Result | Problem:
    try:
        return run(unit, tell)
    except SimulatorError as error:
        return Problem(f"{error.message}.")
    except DiskError:  # no other unit fares better
        raise
    except UserError as error:
        return Problem(str(error))


@dataclass(frozen=True)
class _Teller:
    send: Callable[..., Any]
    key: Any

    def __call__(self, done: int = 0, **counts: float) -> None:
        self.send(self.key, done, counts)


@dataclass
class Board:
    """What units have told; a Ray actor, where they run on Ray."""

    done: dict[Any, int] = field(default_factory=dict)
    ended: set[Any] = field(default_factory=set)
    counts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def tell(self, key: Any, done: int, counts: Mapping[str, float]) -> None:
        """Takes what a unit says. A unit that is run again begins anew."""
        if key not in self.ended:  # from a worker, its last words come after its result
            self.done[key] = done
        for name, count in counts.items():
            self.counts[name] += count

    def read(self, ended: Sequence[Any]) -> tuple[int, Mapping[str, float]]:
        """Returns what is done of the units that have not ended, and the counts."""
        self.ended.update(ended)
        for key in ended:
            self.done.pop(key, None)
        return sum(self.done.values()), dict(self.counts)


class _Meter:
    """Turns what units tell and what has ended into progress."""

    def __init__(
        self, job: Job[Any, Any, Any], progress: Progress, sizes: Mapping[Any, int]
    ) -> None:
        self._board = Board()
        self.read: Callable[[Sequence[Any]], tuple[int, Mapping[str, float]]] = self._board.read
        self._job, self._progress, self._sizes = job, progress, sizes
        self._begin = time.monotonic()
        self._ended, self._shown = 0, 0
        self._since: list[Any] = []
        progress.start(job.name, sum(sizes.values()), job.noun)

    def ended(self, key: Any) -> None:
        """A unit is stored, or has failed."""
        self._ended += self._sizes[key]
        self._since.append(key)
        self.look()

    def tell(self, key: Any, done: int, counts: Mapping[str, float]) -> None:
        """Takes what a unit that runs here says."""
        self._board.tell(key, done, counts)
        self.look()

    def say(self, activity: str) -> None:
        """Says what happens before units do."""
        self._progress.say(activity)

    def look(self) -> None:
        """Shows how far the job is."""
        partly, counts = self.read(self._since)
        self._since = []
        done = self._ended + partly
        detail = self._job.describe(counts, time.monotonic() - self._begin)
        self._progress.advance(done - self._shown, detail)
        self._shown = done
