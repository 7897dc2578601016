import pytest
from mlflow import MlflowClient

from rl_datagen.config import Config
from rl_datagen.pipeline.run import Run
from rl_datagen.pipeline.tracked import run_alone
from tests.told import Told

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's libraries warn about each other


def evaluated(num_successes):
    low, high = {"success_ci_low": 0.0}, {"success_ci_high": 1.0}
    counts = {"num_successes": num_successes, "num_episodes": 4, "episode_len_mean": 100.0}
    return lambda run: counts | low | high | {"success_rate": num_successes / 4}


def learn(run):
    for iteration in (1, 2):
        run.progress.iteration({"iteration": iteration, "success_rate": iteration / 4})
    run.expert.mkdir(parents=True)
    (run.expert / "weights.safetensors").write_text("weights")
    return {"iterations": 2, "env_steps": 10}


def fail(run):
    raise ZeroDivisionError


def stored(tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("experts")
    (run,) = client.search_runs([experiment.experiment_id])
    points = {
        name: [
            (point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
    }
    return run, points, [file.path for file in client.list_artifacts(run.info.run_id, "expert")]


def test_a_run_that_failed_and_was_resumed_is_one_run_with_every_point_once(tmp_path):
    run, told = Run(Config(output_dir=str(tmp_path), name="mine"), Told()), Told()
    stages = {"evaluate_before": evaluated(1), "dppo": learn, "evaluate_after": fail}
    with pytest.raises(ZeroDivisionError):
        run_alone(run, stages, track=["mlflow"])
    assert stored(tmp_path)[0].info.status == "FAILED"
    stages["evaluate_after"] = evaluated(3)
    again = Run(run.config, told)
    run_alone(again, stages, track=["mlflow"])
    found, points, files = stored(tmp_path)
    assert found.info.status == "FINISHED"
    assert found.data.tags["name"] == f"mine {run.task.id}"
    assert points == {
        "success_rate_before": [(0, 0.25)],
        "success_rate": [(1, 0.25), (2, 0.5)],
        "success_rate_after": [(2, 0.75)],
    }
    assert files == ["expert/weights.safetensors"]
    assert told.stages == ["evaluate_after"]
    assert len(told.details) == 3


def test_nothing_is_tracked_unasked(tmp_path):
    run = Run(Config(output_dir=str(tmp_path), name="mine"), Told())
    run_alone(run, {"evaluate_before": evaluated(1)})
    assert not list(tmp_path.rglob("*.db"))
