"""One process at a time works in a folder."""

import fcntl
from pathlib import Path
from typing import TextIO

from rl_datagen.core.errors import UserError


def lock(path: Path, message: str, error: type[UserError] = UserError) -> TextIO:
    """Returns an open file that holds a lock until it is closed, or its process is gone.

    It holds among processes that see the same disk, which on a cluster is one machine's at least.

    Args:
        path: The lock's file; made with its folder.
        message: What to say if another process holds it.
        error: What to raise then.

    Raises:
        UserError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")  # what its holder has written in it stays
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise error(message) from None
    except BaseException:
        file.close()
        raise
    return file
