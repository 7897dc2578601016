"""A job of a few lines gets resume, kill safety, progress and the message for nothing."""

import os
import signal
from pathlib import Path

import pytest
import ray

from rl_datagen.core.errors import DiskError, SimulatorError, UserError
from rl_datagen.runtime.executor import Board, Job, execute
from tests.told import Told


class Squares(Job[int, tuple[int, Path], int]):
    """Squares of numbers, a file each."""

    name, noun, advice = "squares", "numbers", ", also with pepper"

    def __init__(self, folder, numbers):
        self.folder, self.numbers = folder, numbers

    def keys(self):
        return self.numbers

    def is_done(self, key):
        return (self.folder / str(key)).exists()

    def unit(self, key):
        return key, self.folder

    @staticmethod
    def run(unit, tell):
        return square(*unit, tell)

    def store(self, unit, result):
        (self.folder / str(unit[0])).write_text(str(result))


def square(number, folder, tell):
    tell(1, seen=1)
    for sign, error in ((-1, UserError("too small")), (-2, SimulatorError("diverged", task="t"))):
        if number == sign:
            raise error
    if number == 666 and not (folder / ".killed").exists():
        (folder / ".killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 999:
        raise DiskError("no room")
    return number**2


@pytest.fixture(params=["here", pytest.param("ray", marks=pytest.mark.ray)])
def where(request, monkeypatch):
    if request.param == "here":
        monkeypatch.setattr(Squares, "num_in_process", 100)
    else:
        ray.shutdown()  # the cluster that tests of other modules share
        monkeypatch.setattr(Squares, "num_workers", 2)
    return request.param


@pytest.mark.slow
@pytest.mark.usefixtures("where")
def test_what_fails_is_named_the_others_are_stored_and_a_second_call_goes_on(tmp_path):
    told = Told()
    outcome = execute(Squares(tmp_path, [2, -1, 3, -2]), told)
    assert (tmp_path / "3").read_text() == "9"
    assert (outcome.total, outcome.missing) == (4, 2)
    assert sorted(outcome.problems) == ["-1: too small", "-2: diverged."]
    assert (told.stages, told.totals, told.done) == (["squares"], [4], 4)
    with pytest.raises(UserError) as error:
        outcome.check()
    assert f"2 of 4 numbers are missing; the others are in {tmp_path}. " in str(error.value)
    assert "The same command resumes with what is missing, also with pepper." in str(error.value)
    again = execute(Squares(tmp_path, [2, 3, 4]), told)
    again.check()
    assert told.totals == [4, 1]


def test_what_a_unit_says_last_is_not_counted_again_when_it_comes_after_the_result():
    board = Board()
    board.tell("late", 1, {"seen": 1})
    board.tell("other", 2, {})
    assert board.read(["late"])[0] == 2
    board.tell("late", 3, {"seen": 1})
    assert board.read([]) == (2, {"seen": 2})


@pytest.mark.slow
@pytest.mark.ray
def test_a_worker_that_is_killed_is_replaced(tmp_path):
    ray.shutdown()
    execute(Squares(tmp_path, [1, 666])).check()
    assert (tmp_path / ".killed").exists()
    assert (tmp_path / "666").read_text() == str(666**2)


@pytest.mark.slow
@pytest.mark.usefixtures("where")
def test_a_full_disk_ends_the_job_since_no_other_unit_fares_better(tmp_path):
    with pytest.raises(DiskError, match="no room"):
        execute(Squares(tmp_path, [1, 999]))


def test_a_unit_that_cannot_be_prepared_is_a_problem_and_one_that_is_of_no_use_is_not(tmp_path):
    class Picky(Squares):
        num_in_process = 9

        def unit(self, key):
            if key == 1:
                raise UserError("nobody knows")
            return None if key == 2 else super().unit(key)

    outcome = execute(Picky(tmp_path, [1, 2, 3]))
    assert outcome.problems == ("1: nobody knows",)
    assert outcome.missing == 2


def test_many_problems_are_counted(tmp_path):
    class Hopeless(Squares):
        num_in_process = 99

        def label(self, key):
            return f"number {key}"

        def unit(self, key):
            raise UserError("no.")

    with pytest.raises(UserError, match=r"number 7: no\. \(12 more problems\.\)"):
        execute(Hopeless(tmp_path, list(range(20)))).check()
