"""How many cores this process has."""

import os


def num_cores() -> int:
    """Returns the cores this process may use.

    Ray tells its workers by ``OMP_NUM_THREADS``, as PyTorch reads it; elsewhere it is all that the
    process may run on.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else len(os.sched_getaffinity(0))
