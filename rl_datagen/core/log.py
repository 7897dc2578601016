"""Logging, set up once per process: one line per event."""

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rl_datagen.core.disk import disk_errors
from rl_datagen.core.paths import without_credentials


def setup_logging(level: int = logging.INFO) -> None:
    """Sends this package's log lines to standard error and quiets chatty libraries."""
    handler = _ToStderr()
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("rl_datagen")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    for name in ("robosuite_logs", "ray.rllib", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: a live display puts itself there while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def stderr_to(path: Path) -> Generator[None]:
    """Sends what native libraries print on standard error to a file for a while.

    Ray's core prints lines there that concern its own interior and that no log level silences
    without announcing itself.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
