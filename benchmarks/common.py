"""What several benchmarks do: ``rl-datagen`` in a process whose CPU time is counted."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def run_counted(arguments: list[str], spent: Path, log: Path) -> float:
    """Runs ``rl-datagen`` and returns the CPU time of it and all processes that it started.

    Args:
        arguments: Of ``rl-datagen``.
        spent: File of the CPU time in s so far: of this call, and of earlier ones.
        log: What the command prints is added to it.
    """
    before = float(spent.read_text()) if spent.exists() else 0.0
    own: dict[psutil.Process, float] = {}
    # Processes whose parent ends become this one's children, so that their time is counted too.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # an expert takes one core
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        try:
            while process.poll() is None:
                spent.write_text(str(before + _seconds_so_far(own)))
                time.sleep(2)
        finally:
            process.terminate()
            process.wait()
    _reap()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = before + max(sum(own.values()), usage.ru_utime + usage.ru_stime)
    spent.write_text(str(seconds))
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: see {log}")
    return seconds


def run_again(script: str, parts: list[tuple[str, ...]], at_once: int) -> None:
    """Runs a benchmark once more for each of its parts, which its ``--one`` takes.

    A process per part: CPU time is counted by process.
    """
    commands = [[sys.executable, script, *part] for part in parts]
    with ThreadPoolExecutor(at_once) as executor:
        list(executor.map(lambda command: subprocess.run(command, check=False), commands))


def commit_of(run: Path) -> str:
    """Returns the commit that trained a run's expert."""
    return json.loads((run / "provenance.json").read_text())["git"][:7]


def _seconds_so_far(own: dict[psutil.Process, float]) -> float:
    """Returns the CPU time of all processes that were ever there.

    A process is remembered after its end: Ray's raylet ignores SIGCHLD, so that the kernel forgets
    what its workers took.

    Args:
        own: What each process was last seen to have taken itself, which is brought up to date.
    """
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            own[process] = sum(process.cpu_times()[:2])
    return sum(own.values())


def _reap() -> None:
    """Waits for what is left of the processes that were started."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return
