import os

import pytest

from rl_datagen.core.cores import num_cores


@pytest.mark.parametrize(("told", "cores"), [("1", 1), ("3", 3)])
def test_what_ray_or_the_user_says_counts(monkeypatch, told, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert num_cores() == cores


@pytest.mark.parametrize("told", ["", "0", "many"])
def test_else_all_that_the_process_may_run_on(monkeypatch, told):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert num_cores() == len(os.sched_getaffinity(0))
