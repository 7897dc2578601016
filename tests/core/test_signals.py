"""Signals that come while something else puts its own handlers in place."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, subprocess, sys, threading, time
from rl_datagen.core.signals import catch_signals, hold_signals, received_signal

catch_signals()
for _ in range(OTHERS):  # as OpenBLAS and a display have; they take signals, too
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
try:
    with hold_signals():
        WHEN_FIRST
        signal.signal(signal.SIGTERM, lambda *_: os._exit(77))  # as Ray's start does
        WHEN_LAST
        time.sleep(0.1)
        show = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        subprocess.run([sys.executable, "-c", show], preexec_fn=os.getpid)
        print("started", flush=True)
    print("not reached")
except KeyboardInterrupt:
    print(received_signal().name)
"""


@pytest.mark.parametrize("number_of_threads", [0, 3])
@pytest.mark.parametrize("when", ["FIRST", "LAST"])
def test_a_signal_that_was_held_is_ours(number_of_threads, when):
    script = SCRIPT.replace(f"WHEN_{when}", "os.kill(os.getpid(), signal.SIGTERM)")
    script = script.replace("WHEN_FIRST", "").replace("WHEN_LAST", "")
    script = script.replace("OTHERS", str(number_of_threads))
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["set()", "started", "SIGTERM"], result.stderr
