"""Signals that come while something else puts its own handlers in place."""

import subprocess
import sys

SCRIPT = """
import os, signal, subprocess, sys
from rl_datagen.core.signals import catch_signals, hold_signals, received_signal

catch_signals()
try:
    with hold_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(77))  # as Ray's start does
        show = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        subprocess.run([sys.executable, "-c", show], preexec_fn=os.getpid)
        print("started", flush=True)
    print("not reached")
except KeyboardInterrupt:
    print(received_signal().name)
"""


def test_a_signal_that_was_held_is_ours():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["set()", "started", "SIGTERM"], result.stderr
