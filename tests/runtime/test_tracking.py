import logging
import time

import pytest

from rl_datagen.runtime.tracking import CAMPAIGN_METRICS
from rl_datagen.runtime.tracking_mlflow import MlflowTracker
from tests.nodes import free_port

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's libraries warn about each other


def make_tracker(folder):
    artifacts = (folder / "artifacts").as_uri()
    return MlflowTracker(f"sqlite:///{folder}/mlflow.db", "tiny", CAMPAIGN_METRICS, artifacts)


def runs_of(tracker):
    return tracker._client.search_runs([tracker._experiment_id])


@pytest.fixture
def messages(monkeypatch):
    said = []
    logger = logging.getLogger("rl_datagen.runtime.tracking_mlflow")
    monkeypatch.setattr(logger, "warning", lambda text, *values: said.append(text % values))
    return said


def test_a_task_has_one_run_with_few_metrics_and_the_expert(tmp_path):
    expert = tmp_path / "expert"
    (expert / "checkpoints").mkdir(parents=True)
    (expert / "weights.safetensors").write_text("weights")
    tracker = make_tracker(tmp_path)
    runs = tracker.open(["libero_goal/0", "libero_goal/1"], {"seed": 0})
    row = {"iteration": 1, "success_rate": 0.5, "approx_kl": None, "config/unknown": 3}
    tracker.log("libero_goal/0", row)

    again = make_tracker(tmp_path)  # a driver that was killed and started again
    assert again.open(["libero_goal/0"], {"seed": 0}) == runs
    again.log("libero_goal/0", {**row, "iteration": 2})
    again.end("libero_goal/0", "finished", lambda: expert)
    found = runs_of(again)
    assert len(found) == 2
    run = next(run for run in found if run.info.run_id == runs["libero_goal/0"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"success_rate": 0.5}
    assert set(run.data.metrics) <= set(CAMPAIGN_METRICS)
    assert len(again._client.get_metric_history(run.info.run_id, "success_rate")) == 2
    files = again._client.list_artifacts(run.info.run_id, "expert")
    assert [file.path for file in files] == ["expert/weights.safetensors"]


def test_a_server_that_is_down_is_one_warning_and_loses_nothing(tmp_path, messages):
    artifacts = (tmp_path / "artifacts").as_uri()
    tracker = MlflowTracker(f"http://127.0.0.1:{free_port()}", "tiny", CAMPAIGN_METRICS, artifacts)
    begin = time.monotonic()
    assert tracker.open(["libero_goal/0"], {}) == {}
    for number in range(5):
        tracker.log("libero_goal/0", {"iteration": number, "success_rate": 0.1 * number})
    tracker.end("libero_goal/0", "finished", None)
    tracker.flush(force=True)
    assert time.monotonic() - begin < 30
    assert len(messages) == 1
    assert "training goes on" in messages[0]

    tracker.uri = f"sqlite:///{tmp_path}/mlflow.db"  # it answers again
    tracker.flush(force=True)
    (run,) = runs_of(tracker)
    assert run.data.metrics["success_rate"] == pytest.approx(0.4)
    assert run.info.status == "FINISHED"


def log_some(tracker, names, iterations):
    for iteration in iterations:
        for name in names:
            tracker.log(name, {"iteration": iteration, "success_rate": 0.1 * iteration})


def lengths(tracker):
    """How many points the curve of each run has, by its name."""
    history = tracker._client.get_metric_history
    return {
        run.info.run_name: len(history(run.info.run_id, "success_rate")) for run in runs_of(tracker)
    }


def destroy(tracker):
    """What `mlflow gc` does to an experiment that was deleted."""
    store = tracker._client._tracking_client.store
    for run in runs_of(tracker):
        store._hard_delete_run(run.info.run_id)
    tracker._client.delete_experiment(tracker._experiment_id)
    store._hard_delete_experiment(tracker._experiment_id)


def test_an_experiment_that_somebody_deletes_is_restored_and_loses_nothing(tmp_path, messages):
    tracker = make_tracker(tmp_path)
    runs = tracker.open(["a", "b"], {"seed": 0})
    log_some(tracker, runs, [1, 2])
    tracker._client.delete_experiment(tracker._experiment_id)
    log_some(tracker, runs, [3, 4])
    tracker.end("a", "finished", None)
    assert lengths(tracker) == {"a": 4, "b": 4}
    (message,) = messages
    assert "had been deleted in MLflow and was restored" in message

    tracker._client.delete_experiment(tracker._experiment_id)  # between two calls
    again = make_tracker(tmp_path)
    assert again.open(["a", "b"], {"seed": 0}) == runs
    log_some(again, runs, [5])
    assert lengths(again) == {"a": 5, "b": 5}
    assert len(messages) == 2


def test_an_experiment_that_is_gone_for_good_is_made_anew(tmp_path, messages):
    tracker = make_tracker(tmp_path)
    runs = tracker.open(["a", "b"], {"seed": 7})
    log_some(tracker, runs, [1])
    destroy(tracker)
    log_some(tracker, runs, [2, 3])
    assert lengths(tracker) == {"a": 2, "b": 2}
    assert all(run.data.params == {"seed": "7"} for run in runs_of(tracker))
    assert messages == []


def test_runs_of_others_in_the_experiment_are_left_alone(tmp_path, messages):
    tracker = make_tracker(tmp_path)
    runs = tracker.open(["a"], {})
    for number in range(3):
        tracker._client.create_run(tracker._experiment_id, run_name=f"mine {number}")
    tracker._client.delete_tag(runs["a"], "name")  # so ours is not known as ours any more
    again = make_tracker(tmp_path)
    ids = again.open(["a"], {})
    assert ids["a"] != runs["a"]
    log_some(again, ids, [1])
    assert len(runs_of(again)) == 5
    assert len(again._client.get_metric_history(ids["a"], "success_rate")) == 1
    assert messages == []


def test_a_run_that_somebody_deleted_does_not_stop_the_others(tmp_path, messages):
    tracker = make_tracker(tmp_path)
    runs = tracker.open(["libero_goal/0", "libero_goal/1"], {})
    tracker._client.delete_run(runs["libero_goal/0"])
    for _ in range(3):
        for task in runs:
            tracker.log(task, {"iteration": 1, "success_rate": 0.5})
    (run,) = runs_of(tracker)
    assert run.info.run_name == "libero_goal/1"
    assert run.data.metrics == {"success_rate": 0.5}
    (message,) = messages  # once, not once a call
    assert runs["libero_goal/0"] in message
