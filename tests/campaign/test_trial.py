"""Trials without Ray: the function that Tune would run."""

import shutil

import pytest

from rl_datagen.campaign.state import Successes, read_state
from rl_datagen.campaign.trial import Trial, expert_folder
from rl_datagen.core.storage import Storage
from rl_datagen.tasks import get_task
from tests.campaign.tiny import TINY, learn, notes, tiny_config

DYING = {**TINY, "dppo": lambda run: learn(run, die_after=2)}
TASK = get_task("libero_goal/0")


def run_trial(config, root, stages=TINY):
    reports = []
    trial = Trial(TASK, config, root, reports.append)
    trial(stages)
    return trial, reports


def ran(root):
    return [what for what, _ in notes(root)]


def read(config):
    return read_state(Storage(config.storage), TASK)


def test_a_trial_says_how_far_it_is_and_leaves_its_expert(tmp_path):
    config = tiny_config(tmp_path)
    _, reports = run_trial(config, tmp_path)
    state = read(config)
    assert (state.state, state.stage, state.error, state.retries) == ("finished", None, None, 0)
    assert (state.iteration, state.num_iterations, state.env_steps) == (4, 4, 400)
    assert state.success_after == Successes(3, 4)
    assert state.length_before == 11.5
    assert state.sampled == [(number, 0.5) for number in (1, 2, 3, 4)]
    assert state.expert == f"{tmp_path}/experts/libero_goal/0/tiny"
    assert [report["iteration"] for report in reports] == [1, 2, 3, 4, 4]
    assert reports[-1]["success_rate_after"] == 0.75


def test_a_trial_that_died_goes_on_after_its_last_iteration(tmp_path):
    config = tiny_config(tmp_path)

    with pytest.raises(OSError, match="gone"):
        run_trial(config, tmp_path, DYING)
    assert read(config).stage == "dppo"
    assert read(config).state == "running"
    run_trial(config, tmp_path)
    assert ran(tmp_path).count("demonstrations") == 1
    assert [what for what in ran(tmp_path) if "iteration" in what] == [
        f"iteration{number}" for number in (1, 2, 3, 4)
    ]
    assert (read(config).state, read(config).retries) == ("finished", 1)


@pytest.mark.parametrize("budget", ["max_env_steps=200", "max_hours=0.0001"])
def test_a_used_up_budget_ends_in_an_expert(tmp_path, budget):
    config = tiny_config(tmp_path, f"campaign.{budget}", "algo.num_iterations=40")
    run_trial(config, tmp_path)
    state = read(config)
    assert state.state == "stopped"
    assert state.iteration < 40
    assert state.success_after
    assert (tmp_path / "experts/libero_goal/0/tiny/weights.safetensors").exists()


def test_a_trial_continues_on_another_node_from_the_storage_alone(tmp_path):
    here, there, far = tmp_path / "here", tmp_path / "there", f"file://{tmp_path}/far"
    config = tiny_config("outputs", f"campaign.storage={far}")

    with pytest.raises(OSError, match="gone"):
        run_trial(config, here, DYING)
    shutil.rmtree(here)
    run_trial(config, there)
    assert ran(there) == ["iteration3", "iteration4", "evaluate"]
    assert read(config).expert == f"{far}/experts/libero_goal/0/tiny"
    assert (tmp_path / "far/demos/tiny/libero_goal-0/data").read_text() == "demonstration"
    expert = expert_folder(TASK, config, here)
    assert [path.name for path in expert.iterdir()] == ["weights.safetensors"]


def test_an_interrupted_copy_leaves_the_previous_one_in_force(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    config = tiny_config("outputs", f"campaign.storage={tmp_path}/far")
    trial, _ = run_trial(config, here)
    extra = trial.run.expert / "checkpoints" / "00005"
    extra.mkdir()
    (extra / "half").write_text("half")
    shutil.rmtree(trial.run.demos)

    def broken(self, path, value):
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write_json", broken)
        with pytest.raises(PermissionError):
            trial._copy.upload()
    again = Trial(TASK, config, there, lambda _: None)
    again._copy.download()
    assert (again.run.demos / "data").exists()
    assert not (again.run.expert / "checkpoints" / "00005").exists()
