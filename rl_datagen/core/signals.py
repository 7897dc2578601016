"""SIGINT and SIGTERM end a command where it is, as an error would: files whole, Ray shut down."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

# Ctrl-C; and what Kubernetes, systemd, spot nodes and `ray job stop` send.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_catching = False
_held = False
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


@contextmanager
def hold_signals() -> Generator[None]:
    """Lets no signal in before the end, where it is ours whatever was put in its place meanwhile.

    For what installs handlers of its own, as Ray's start does. Threads that are started meanwhile
    take no signals, processes that are forked do. A signal goes to any thread that takes it, so
    that it is also kept from the handlers, which Python runs in this one.
    """
    global _held
    if not _catching or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    came: list[int] = []
    install = signal.signal

    def keep(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    def install_ours(number: int, handler: Any) -> Any:
        return install(number, keep if number in _SIGNALS else handler)

    for number in _SIGNALS:
        install_ours(number, None)
    _held, signal.signal = True, install_ours
    try:
        yield
    finally:
        _held, signal.signal = False, install
        renew_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if came:
            _stop(came[0], None)


def _let_children_go() -> None:
    if _held:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


os.register_at_fork(after_in_child=_let_children_go)


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
