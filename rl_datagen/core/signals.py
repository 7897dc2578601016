"""SIGINT and SIGTERM end a command where it is, as an error would: files whole, Ray shut down."""

import signal
import threading
from types import FrameType
from typing import NoReturn

# Ctrl-C; and what Kubernetes, systemd, spot nodes and `ray job stop` send.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_catching = False
_received: signal.Signals | None = None


def catch_signals() -> None:
    """Makes the first signal a ``KeyboardInterrupt`` in the main thread; a second one kills."""
    global _catching
    _catching = True
    renew_signals()


def renew_signals() -> None:
    """Takes the signals back from Ray, whose own handlers abort the process with a stack dump."""
    if _catching and threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _stop)


def received_signal() -> signal.Signals | None:
    """Returns the signal that ends this process, if one does.

    Libraries make other exceptions of the interrupt on its way.
    """
    return _received


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    global _received
    _received = signal.Signals(number)
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt  # the one exception that Ray lets through while it waits
