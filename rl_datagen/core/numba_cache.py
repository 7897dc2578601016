"""Where numba keeps what it has compiled, for those whose home and installation are read-only."""

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from rl_datagen.core.errors import MachineError

VARIABLE = "NUMBA_CACHE_DIR"


def find_numba_cache() -> None:
    """Gives numba a temporary folder if it would find none; called before it compiles.

    It looks beside the source, which an image or another user may own, then in the user's cache
    folder, which a user without a home (OpenShift, ``docker --user``, Singularity) cannot make, and
    then fails. The variable goes on to processes that this one starts.

    Raises:
        MachineError: There is not even a temporary folder.
    """
    wanted = os.environ.get(VARIABLE)
    if any(map(_can_be_written, filter(None, (wanted, _user_cache())))):
        return
    os.environ[VARIABLE] = _temporary()
    if "numba" in sys.modules:  # it has read the variable already
        config: Any = sys.modules["numba"].config
        config.CACHE_DIR = os.environ[VARIABLE]


def _user_cache() -> str:
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


def _can_be_written(folder: str) -> bool:
    """Whether the folder, or the nearest one above it that exists, takes new files."""
    path = Path(folder).absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _temporary() -> str:
    """Returns a folder that is this user's alone: what lies there is run.

    Raises:
        MachineError: There is none.
    """
    user = os.getuid()
    try:
        path = os.path.join(tempfile.gettempdir(), f"rl_datagen-numba-{user}")
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
        return path if own else tempfile.mkdtemp(prefix="rl_datagen-numba-")
    except OSError as error:
        raise MachineError(
            "Compiled code can be kept nowhere: neither the home folder nor a temporary one can "
            f"be written ({error.strerror}). Set {VARIABLE} to a folder that can be."
        ) from error
