"""Trials in each state, as files."""

import time

from rl_datagen.campaign.state import Successes, TrialState, write_state
from rl_datagen.core.storage import Storage


def finished(task, before=20, after=45, seconds=600.0, **changes):
    values = {
        "state": "finished",
        "num_iterations": 10,
        "iteration": 10,
        "env_steps": 400_000,
        "seconds": seconds,
        "success_before": Successes(before, 50),
        "success_after": Successes(after, 50),
    }
    return TrialState(task, **{**values, **changes})


def running(task, iteration=4, seconds=400.0, **changes):
    values = {
        "state": "running",
        "stage": "dppo",
        "num_iterations": 10,
        "iteration": iteration,
        "env_steps": 40_000 * iteration,
        "env_steps_per_second": 500.0 if iteration else None,
        "seconds": seconds,
        "updated": time.time() - 60,
        "sampled": [(i + 1, 0.5) for i in range(iteration)],
    }
    return TrialState(task, **{**values, **changes})


def failed(task, error):
    return TrialState(task, state="failed", stage="dppo", error=error, retries=2)


def store(folder, *trials, config=""):
    storage = Storage(str(folder))
    for trial in trials:
        write_state(storage, trial)
    if config:
        storage.write_text("config.yaml", config)
    return str(folder)
