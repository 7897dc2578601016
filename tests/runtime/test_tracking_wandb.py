import logging

import pytest

from rl_datagen.runtime.tracking import make_trackers

METRICS = ("success_rate", "approx_kl")


@pytest.fixture
def messages(monkeypatch):
    said = []
    logger = logging.getLogger("rl_datagen.runtime.tracking_wandb")
    monkeypatch.setattr(logger, "warning", lambda text, *values: said.append(text % values))
    return said


def test_wandb_keeps_a_run_per_expert(tmp_path, monkeypatch, messages):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = make_trackers(["wandb"], "tiny", METRICS, tmp_path)
    tracker.open(["libero_goal/0", "libero_goal/1"], {"seed": 0})
    for name, state in (("libero_goal/0", "finished"), ("libero_goal/1", "failed")):
        tracker.log(name, {"iteration": 1, "success_rate": 0.5})
        tracker.end(name, state, None)
    stored = {path.name: path.stat().st_size for path in tmp_path.rglob("*.wandb")}
    assert sorted(stored) == ["run-tiny-libero_goal-0.wandb", "run-tiny-libero_goal-1.wandb"]
    assert min(stored.values()) > 0
    assert not messages


def test_what_cannot_be_logged_is_one_warning_and_no_end(tmp_path, monkeypatch, messages):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = make_trackers(["wandb"], "tiny", METRICS, tmp_path / "file")
    tracker.open(["a"], {})
    tracker.log("a", {"iteration": 1, "success_rate": 0.5})
    tracker.end("a", "finished", None)
    assert len(messages) == 1
    assert "wandb cannot be used, training goes on without it" in messages[0]


def test_one_that_is_named_twice_counts_once_and_goes_with_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = make_trackers(["wandb", "mlflow", "wandb"], "twice", METRICS, tmp_path)
    tracker.open(["a"], {"seed": 0})
    tracker.log("a", {"iteration": 1, "success_rate": 0.5})
    tracker.end("a", "finished", None)
    assert len(list(tmp_path.rglob("*.wandb"))) == 1
    assert tracker.mlflow_uri.startswith("sqlite:///")
    assert (tmp_path / "mlflow.db").exists()


def test_a_package_that_is_not_there_is_missed_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("rl_datagen.core.errors.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="wandb"):
        make_trackers(["wandb"], "tiny", METRICS, tmp_path)
