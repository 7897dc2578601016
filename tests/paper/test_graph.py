"""Jobs that need each other, killed and run again."""

import json

import pytest

from rl_datagen.paper.graph import Job, is_done, run_graph


@pytest.fixture
def graph():
    """a -> b -> d, a -> c; ``ran`` has the order."""
    ran, fail = [], set()

    def job(name, *after):
        def run():
            ran.append(name)
            if name in fail:
                raise RuntimeError(name)
            return {"found": len(ran)}

        return Job(name, after, run)

    return [job("a"), job("b", "a"), job("c", "a"), job("d", "b")], ran, fail


def test_each_job_runs_once(graph, tmp_path):
    jobs, ran, _ = graph
    found = {}
    run_graph(jobs, tmp_path, on_done=lambda job, summary: found.update({job.name: summary}))
    assert ran == ["a", "b", "c", "d"]
    assert found["c"]["found"] == 3
    run_graph(jobs, tmp_path)
    assert len(ran) == 4


def test_a_graph_that_stopped_goes_on(graph, tmp_path):
    jobs, ran, fail = graph
    fail.add("c")
    with pytest.raises(RuntimeError, match="c"):
        run_graph(jobs, tmp_path)
    assert [is_done(job, tmp_path) for job in jobs] == [True, True, False, False]
    fail.clear()
    run_graph(jobs, tmp_path)
    assert ran == ["a", "b", "c", "c", "d"]
    marker = tmp_path / "jobs" / "c" / "done.json"
    assert json.loads(marker.read_text())["seconds"] >= 0


def test_what_was_made_from_an_old_result_is_made_again(graph, tmp_path):
    jobs, ran, fail = graph
    run_graph(jobs, tmp_path)
    ran.clear()
    (tmp_path / "jobs" / "b" / "done.json").unlink()
    fail.add("b")
    with pytest.raises(RuntimeError):
        run_graph(jobs, tmp_path)
    fail.clear()
    run_graph(jobs, tmp_path)
    assert ran == ["b", "b", "d"]  # d too, although it was done; c needs only a
