"""One process at a time works in a folder."""

import fcntl
from pathlib import Path
from typing import TextIO

from rl_datagen.core.disk import reason
from rl_datagen.core.errors import DiskError, UserError


def lock(path: Path, message: str, error: type[UserError] = UserError) -> TextIO:
    """Returns an open file that holds a lock until it is closed, or its process is gone.

    It holds among processes that see the same disk, which on a cluster is one machine's at least.

    Args:
        path: The lock's file; made with its folder.
        message: What to say if another process holds it.
        error: What to raise then.

    Raises:
        UserError: Another process holds it.
        DiskError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")  # what its holder has written in it stays
    except OSError as problem:
        raise DiskError(
            f"The folder {path.parent} cannot be written: {reason(problem)}. Nothing was begun. "
            "Make room, or choose a folder that can be written, such as by output_dir=..."
        ) from problem
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise error(message) from None
    except BaseException:
        file.close()
        raise
    return file
