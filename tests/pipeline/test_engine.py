"""Stages that need each other, killed and run again."""

import pytest

from rl_datagen.core.progress import SILENT, Silent
from rl_datagen.pipeline.engine import Markers, run_stages

AFTER = {"a": (), "b": ("a",), "c": ("a",), "d": ("b",)}


@pytest.fixture
def graph(tmp_path):
    """a -> b -> d, a -> c; ``ran`` has the order."""
    ran, fail = [], set()

    def stage(name):
        def run():
            ran.append(name)
            if name in fail:
                raise RuntimeError(name)
            return {"found": len(ran)}

        return run

    markers = Markers(lambda name: tmp_path / name / "done.json", AFTER, {"b": tmp_path / "made"})
    (tmp_path / "made").touch()
    return {name: stage(name) for name in AFTER}, markers, ran, fail


def test_each_stage_runs_once_and_its_end_is_told_each_time(graph):
    told = []

    class Told(Silent):
        def finish(self, stage, detail, seconds):
            told.append((stage, detail))

    stages, markers, ran, _ = graph
    run_stages(stages, markers, Told())
    assert ran == ["a", "b", "c", "d"]
    assert markers.summary("c").keys() == {"found", "seconds", "core_seconds"}
    run_stages(stages, markers, Told())
    assert len(ran) == 4
    assert (told[2], told[6]) == (("c", "3 found"), ("c", "already done: 3 found"))


def test_what_stopped_goes_on(graph):
    stages, markers, ran, fail = graph
    fail.add("c")
    with pytest.raises(RuntimeError, match="c"):
        run_stages(stages, markers, SILENT)
    assert [markers.is_done(name) for name in AFTER] == [True, True, False, False]
    fail.clear()
    run_stages(stages, markers, SILENT)
    assert ran == ["a", "b", "c", "c", "d"]


@pytest.mark.parametrize("lost", ["b/done.json", "made"])
def test_what_was_made_from_an_old_result_is_made_again(graph, tmp_path, lost):
    stages, markers, ran, fail = graph
    run_stages(stages, markers, SILENT)
    ran.clear()
    (tmp_path / lost).unlink()
    fail.add("b")
    with pytest.raises(RuntimeError):
        run_stages(stages, markers, SILENT)
    fail.clear()
    (tmp_path / "made").touch()
    run_stages(stages, markers, SILENT)
    assert ran == ["b", "b", "d"]  # d too, although it was done; c needs only a
