"""The errors a user can cause or meet, each with a message that says what to do next."""

import difflib
import errno
import os
from collections.abc import Iterable
from functools import partial
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from rl_datagen import __version__


class UserError(ValueError):
    """Something the user can put right. The command line prints it and exits with code 2."""


class ConfigError(UserError):
    """A setting that is misspelt, of the wrong type, out of range, or in contradiction."""


class DatasetError(UserError):
    """A dataset on disk that is damaged, foreign or incomplete."""


class DiskError(UserError):
    """A disk that is full or cannot be written: nothing can be stored any more."""


class MachineError(UserError):
    """Something this machine lacks, such as a GL library."""


class PolicyError(UserError):
    """A policy that is broken, which is something else than one that fails."""


class SimulatorError(RuntimeError):
    """A simulator failed in the middle of an episode.

    Args:
        message: What went wrong.
        task: Task id such as ``"libero_goal/3"``.
        init_state_index: Shipped init state the episode started from, if it did.
        seed: Seed of the episode, if it had one.
        step: Env step at which it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        task: str,
        init_state_index: int | None = None,
        seed: int | None = None,
        step: int | None = None,
    ) -> None:
        self.message = message
        self.task, self.init_state_index, self.seed, self.step = task, init_state_index, seed, step
        super().__init__(
            f"{message} (task={task} init_state_index={init_state_index} seed={seed} step={step})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Keeps the coordinates when the error crosses a process boundary."""
        coordinates = {
            "task": self.task,
            "init_state_index": self.init_state_index,
            "seed": self.seed,
            "step": self.step,
        }
        return partial(SimulatorError, self.message, **coordinates), ()


def first_line(error: BaseException) -> str:
    """Returns what an error says first, without a full stop; its type if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def refused_path(error: BaseException) -> UserError | None:
    """Returns what to say of an error that a path is the cause of, not this program."""
    if not isinstance(error, OSError) or error.errno not in _OF_PATH or error.filename is None:
        return None
    return UserError(
        f"'{shown(os.fsdecode(error.filename))}' cannot be used: {error.strerror}. What is "
        "finished is stored. Give another path, or put this one right; the same command resumes."
    )


_OF_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST)


def shown(value: object, limit: int = 120) -> str:
    """Returns a value on one line of a message: no control characters, and no longer than this."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python writes out no integer of thousands of digits
        text = f"a {type(value).__name__} too long to be shown"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def how_to_install(extra: str) -> str:
    """Returns the sentence that says how to install one of this package's extras."""
    wheel = f"rl_datagen-{__version__}-py3-none-any.whl"
    return (
        f"Run `pip install -e '.[{extra}]'` in a checkout, or `pip install '{wheel}[{extra}]'` "
        "in the folder of its wheel."
    )


def require(package: str) -> None:
    """Imports nothing, but fails as the import would that comes later.

    Raises:
        ModuleNotFoundError: The package is not installed; the command line says what to install.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    matches = difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def quoted(value: object) -> str:
    """Returns a value as an error shows it, on one line and not longer than that."""
    try:
        text = ascii(value)
    except ValueError:  # as in ``shown``
        return shown(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def explained(error: Exception) -> str:
    """Returns what is wrong as part of a sentence; of several things the first three."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    items = error.errors(include_url=False)
    more = f"; and {len(items) - 3} more" if len(items) > 3 else ""
    return "; ".join(map(_item, items[:3])) + more


def _item(item: Any) -> str:
    where = shown(".".join(map(str, item["loc"])))
    message = shown(item["msg"].removeprefix("Value error, ").rstrip("."), 400)
    plain = item["type"] in ("value_error", "json_invalid", "missing")
    value = "" if plain else f" (it has {quoted(item['input'])})"
    return f"{where + ': ' if where else ''}{message}{value}"
