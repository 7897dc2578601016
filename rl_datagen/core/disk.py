"""Disks that are full or cannot be written: no waiting helps, so one paragraph ends the command."""

import errno
import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from rl_datagen.core.errors import DiskError, first_line

_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room, for this user, or for one file
    *(errno.EROFS, errno.EACCES, errno.EPERM),
)
_UNMISTAKABLE = {os.strerror(each): each for each in _FAULTS[:4]}
_WORDS = re.compile("|".join(map(re.escape, _UNMISTAKABLE)))
_OF_NUMPY = re.compile(r"\d+ requested and \d+ written")
_WHAT_NOW = (
    "What was finished before is stored and whole. Make room, or choose a folder that can be "
    "written, such as by output_dir=...; the same command then resumes."
)


def disk_fault(error: BaseException) -> OSError | None:
    """Returns the fault of a disk that is behind an error, if there is one.

    Libraries wrap such errors, Ray brings them from other processes, and some keep the words alone.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _FAULTS:
            return each
        if found := _WORDS.search(str(each)):
            return OSError(_UNMISTAKABLE[found[0]], found[0])
        if _OF_NUMPY.search(str(each)):  # which does not say why
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


def reason(error: BaseException) -> str:
    """Returns why nothing can be written, such as "Read-only file system"."""
    fault = disk_fault(error) or error
    if not isinstance(fault, OSError) or fault.errno is None:
        return first_line(fault)
    where = f": '{fault.filename}'" if isinstance(fault.filename, str) else ""
    return f"{os.strerror(fault.errno)}{where}"


def disk_error(error: BaseException) -> DiskError | None:
    """Returns what to say of an error if it is a disk's, or came of one's."""
    if said := next((each for each in _chain(error) if type(each) is DiskError), None):
        return said
    if disk_fault(error) is None:
        return None
    return DiskError(f"Nothing can be stored: {reason(error)}. {_WHAT_NOW}")


@contextmanager
def disk_errors(path: Path | str) -> Generator[None]:
    """Makes a DiskError of what says that a disk is full or cannot be written; others pass.

    Args:
        path: What is written.

    Raises:
        DiskError: In place of whatever a library has made of it.
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        if disk_fault(error) is None:
            raise
        raise DiskError(f"'{path}' cannot be written: {reason(error)}. {_WHAT_NOW}") from error


def check_space(folder: Path, num_bytes: int) -> None:
    """Checks before long work that a disk has some room left.

    Args:
        folder: On that disk.
        num_bytes: What the work takes at least.

    Raises:
        DiskError: There is less.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DiskError(
            f"The disk of '{folder}' has {free / 1e6:.0f} MB left, and at least "
            f"{num_bytes / 1e6:.0f} MB are needed. Nothing was begun. Make room, or choose a "
            "folder on another disk, such as by output_dir=..."
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and those that it came of, each once."""
    queue, seen = [error], set[int]()
    while queue:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        context = None if each.__suppress_context__ else each.__context__
        causes = (each.__cause__, getattr(each, "cause", None), context)
        queue += [cause for cause in causes if isinstance(cause, BaseException)]
