"""Ray's nodes as processes of a test, found again by a mark in their environment.

Ray's own helpers for this stop every Ray on the machine.
"""

import os
import signal
import socket
import time
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def marked(mark):
    """Process ids whose environment holds the mark: a test's own descendants."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environment:
                yield int(entry.name)


def end(mark, signals=((signal.SIGTERM, 10), (signal.SIGKILL, 5))):
    for number, wait in signals:
        deadline = time.monotonic() + wait
        for pid in marked(mark):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        while time.monotonic() < deadline and any(marked(mark)):
            time.sleep(0.2)
