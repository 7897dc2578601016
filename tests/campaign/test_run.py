"""Campaigns of three tiny tasks under Tune."""

import json
import sqlite3

import pytest
import yaml

from rl_datagen.campaign.read import read_campaign
from rl_datagen.campaign.run import _Waiting, bundles, run_campaign
from rl_datagen.campaign.state import TrialState, write_state
from rl_datagen.cli.campaign import run
from rl_datagen.cli.campaign_status import print_status
from rl_datagen.core.errors import ConfigError, MachineError, UserError
from rl_datagen.core.lock import lock
from rl_datagen.core.storage import Storage
from rl_datagen.core.stored import OBJECT
from tests.campaign import tiny
from tests.campaign.tiny import TINY, notes, tiny_config

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray and MLflow warn about their own interior
]
TASKS = ["libero_goal/0", "libero_goal/1", "libero_goal/2"]


@pytest.fixture(scope="module")
def tiny_ray():
    import ray

    ray.shutdown()  # the one that tests of other folders share
    tiny.start_ray()
    yield
    ray.shutdown()


def states_of(config, **options):
    return {task: s.state for task, s in run_campaign(config, stages=TINY, **options).items()}


@pytest.mark.slow
def test_one_task_fails_alone_and_is_retried_on_request(tiny_ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fault = tmp_path / "faults" / "libero_goal-1-demonstrations"
    fault.parent.mkdir()
    fault.write_text("raise")
    config = tiny_config(".", "campaign.max_failures=1")
    states = run_campaign(config, stages=TINY)
    assert [states[task].state for task in TASKS] == ["finished", "failed", "finished"]
    assert states[TASKS[1]].error == "RuntimeError: the scene cannot be built"
    assert states[TASKS[1]].retries == 1
    before = [notes(tmp_path, task) for task in TASKS]

    assert states_of(config)[TASKS[1]] == "failed"  # nothing is left to do
    assert [notes(tmp_path, task) for task in TASKS] == before

    fault.unlink()
    assert set(states_of(config, retry_failed=True).values()) == {"finished"}
    assert [notes(tmp_path, task) for task in (TASKS[0], TASKS[2])] == [before[0], before[2]]
    with sqlite3.connect(tmp_path / "campaigns/tiny/mlflow.db") as database:
        runs = database.execute("select status from runs").fetchall()
    assert runs == [("FINISHED",)] * 3


def test_another_configuration_is_refused_with_the_difference(tmp_path):
    folder = tmp_path / "campaigns" / "tiny"
    config = tiny_config(tmp_path)
    none_left = config.model_copy(update={"task": TASKS[0]})
    for task in TASKS:
        path = folder / "trials" / f"{task.replace('/', '-')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"task": "{task}", "state": "finished"}}')
    (folder / "config.yaml").write_text(yaml.safe_dump(none_left.model_dump(mode="json")))
    assert states_of(none_left) == {TASKS[0]: "finished"}
    kept = (folder / "config.yaml").read_text()
    with pytest.raises(ConfigError, match=r"algo\.lr is 4e-05 there and 0\.0002 here"):
        run_campaign(tiny_config(tmp_path, "algo.lr=2e-4"))
    assert (folder / "config.yaml").read_text() == kept
    more = tiny_config(tmp_path, "campaign.max_concurrent_trials=1")  # other tasks, more at a time
    assert set(states_of(more).values()) == {"finished"}


def test_a_second_driver_is_refused(tmp_path):
    config = tiny_config(tmp_path)
    with (
        lock(config.folder / ".lock", "busy"),
        pytest.raises(UserError, match=r"Another process drives the campaign tiny"),
    ):
        run_campaign(config, stages=TINY)
    assert not (config.folder / "config.yaml").exists()


def test_storage_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("rl_datagen.campaign.run._SECONDS_TO_REACH_STORAGE", 1)
    (tmp_path / "file").write_text("")
    config = tiny_config(tmp_path, f"campaign.storage={tmp_path}/file")
    with pytest.raises(UserError, match=r"campaign\.storage=.*cannot be written"):
        run_campaign(config)


def test_a_trials_resources(tmp_path):
    config = tiny_config(tmp_path, "algo.num_env_runners=2", "campaign.gpus_per_trial=0.25")
    assert bundles(config) == [{"CPU": 1, "GPU": 0.25}, {"CPU": 1}, {"CPU": 1}]
    assert config.for_task(config.tasks[0]).algo.num_gpus_per_learner == 0.25
    config = tiny_config(tmp_path, "algo.num_learners=1", "algo.num_gpus_per_learner=1")
    assert bundles(config) == [{"CPU": 1}, {"CPU": 1, "GPU": 1}, {"CPU": 1}]
    config = tiny_config(tmp_path, "algo.num_gpus_per_env_runner=0.1")
    assert bundles(config) == [{"CPU": 1}, {"CPU": 1, "GPU": 0.1}]


def test_the_command_names_the_tasks_that_failed(monkeypatch, capsys):
    failed = TrialState(TASKS[1], "failed", error="RuntimeError: no scene")
    states = {TASKS[0]: TrialState(TASKS[0], "finished"), TASKS[1]: failed}
    monkeypatch.setattr("rl_datagen.campaign.run.run_campaign", lambda *_, **__: states)
    with pytest.raises(UserError, match=r"1 of 2 tasks failed: libero_goal/1 .*--retry-failed"):
        run(["task=libero_goal/0-1"])
    assert "1 finished, 1 failed" in capsys.readouterr().out


def test_trials_that_this_machine_can_never_place_are_refused(tiny_ray, tmp_path):
    config = tiny_config(tmp_path, "campaign.gpus_per_trial=64")
    with pytest.raises(MachineError, match=r"^campaign\.gpus_per_trial=64.*64 GPUs are needed"):
        run_campaign(config, stages=TINY)
    assert not (config.folder / "trials").exists()


def test_a_campaign_that_waits_for_a_cluster_says_so_where_one_looks(
    tiny_ray, tmp_path, monkeypatch, capsys
):
    config = tiny_config(tmp_path, "campaign.gpus_per_trial=64")
    storage = Storage(config.storage)
    storage.write_text("config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    write_state(storage, TrialState(TASKS[0]))
    monkeypatch.setattr("rl_datagen.runtime.room._SECONDS_BETWEEN_WORDS", 0)
    waiting = _Waiting(config, storage, {"mlflow_uri": None})
    waiting.on_step_end(1, [])
    board = (config.folder / "board" / "index.html").read_text()
    print_status(read_campaign(config.storage))
    for page in (
        board,
        capsys.readouterr().out,
        json.dumps(storage.read_json("campaign.json", OBJECT, "")),
    ):
        assert "waits for room on the cluster: " in page
        assert "campaign.gpus_per_trial=64" in page
    monkeypatch.setattr("rl_datagen.runtime.room.missing_room", lambda _: None)
    waiting.on_step_end(2, [])
    assert storage.read_json("campaign.json", OBJECT, "") == {"mlflow_uri": None, "waiting": None}
