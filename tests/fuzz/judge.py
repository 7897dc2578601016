"""What becomes of one input: clean, a traceback, a hang, or accepted though it is wrong."""

import signal
import traceback
from collections import Counter
from dataclasses import dataclass, field

import typer

from rl_datagen.core.errors import UserError

SECONDS = 10
VERDICTS = ("clean", "traceback", "hang", "silent")


class WrongError(Exception):
    """Accepted though the generator knows better."""


class _TooLongError(BaseException):
    """Nothing catches it by accident."""


@dataclass
class Tally:
    """Verdicts of one kind of input, and what was found."""

    counts: Counter = field(default_factory=Counter)
    accepted: int = 0
    found: list = field(default_factory=list)

    @property
    def total(self):
        return sum(self.counts.values())


def sound(message):
    """Whether an error is one paragraph that says something; several things may be a list."""
    plain = "\n- " in message or "\n" not in message
    return 10 < len(message) < 6000 and plain and "Traceback" not in message


def judge(act):
    """Calls ``act``; returns a verdict, whether it was accepted, and what there is to say."""

    def stop(*_):
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        act()
    except UserError as error:
        if sound(str(error)):
            return "clean", False, ""
        return "traceback", False, f"no paragraph: {str(error)[:300]!r}"
    except typer.Exit:
        return "clean", False, ""
    except WrongError as error:
        return "silent", True, str(error)
    except _TooLongError:
        return "hang", False, traceback.format_exc(limit=-4)
    except Exception:  # that is what is looked for
        return "traceback", False, traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return "clean", True, ""


def expect(condition, what):
    if not condition:
        raise WrongError(what)
