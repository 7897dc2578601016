import json

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import AmplifyConfig, load_config
from rl_datagen.core.errors import DatasetError, SimulatorError, UserError
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.files import NewShard
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.jobs import amplify as amplification
from rl_datagen.rollout import held_back_indices, plan_attempt
from tests.told import Told

TASKS = ("libero_object/0", "libero_goal/8")


def config(tmp_path, **settings):
    return AmplifyConfig(
        name="demos", output_dir=str(tmp_path), num_episodes=2, num_workers=2, **settings
    )


@pytest.fixture
def in_process(monkeypatch):
    """Runs units where they are asked for; Ray itself is tested in tests/runtime."""
    monkeypatch.setattr(amplification._Amplify, "num_in_process", 100)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.ray
def test_tasks_are_amplified_side_by_side_and_the_dataset_is_sound(tmp_path):
    told = Told()
    path = amplification.amplify(config(tmp_path, task=",".join(TASKS)), told)
    assert (told.totals, told.done) == ([4], 4)
    assert "attempts" in told.details[-1]
    assert verify(path).num_episodes == 4
    assert {t.task for t in read_trajectories(path)} == set(TASKS)
    assert all(t.success and t.source == "amplified" for t in read_trajectories(path))
    assert all(shard.num_attempts >= 2 for shard in read_manifest(path).shards)
    result = CliRunner().invoke(app, ["demos", "info", str(path), "--json"])
    rows = json.loads(result.stdout)["tasks"]
    assert [row["episodes"] for row in rows] == [2, 2]
    assert {row["source"] for row in rows} == {"amplified"}
    assert all(row["attempts"] >= 2 and row["length_mean"] > 50 for row in rows)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.usefixtures("in_process")
def test_a_job_that_was_stopped_goes_on_with_what_is_missing(tmp_path):
    first, _ = TASKS
    amplification.amplify(config(tmp_path, task=first))
    told = Told()
    path = amplification.amplify(config(tmp_path, task=",".join(TASKS)), told)
    assert told.totals == [2]
    whole = amplification.amplify(config(tmp_path / "other", task=",".join(TASKS)))
    assert list(read_trajectories(path)) == list(read_trajectories(whole))


def test_a_task_that_fails_leaves_the_others_alone(
    tmp_path, in_process, monkeypatch, make_trajectory
):
    def amplify_task(config, source, tell):
        task = source.task.id
        if task == TASKS[0]:
            raise SimulatorError("cannot build the scene", task=task)
        return NewShard([make_trajectory(task=task)], 0, num_attempts=30)

    monkeypatch.setattr(amplification, "amplify_task", amplify_task)
    with pytest.raises(UserError) as error:
        amplification.amplify(config(tmp_path, task=",".join(TASKS)))
    assert "libero_object/0: cannot build the scene" in str(error.value)
    assert "fewer than 2 successful episodes: libero_goal/8 (1)" in str(error.value)
    (shard,) = read_manifest(tmp_path / "demos" / "demos").shards
    assert (shard.task, shard.num_episodes, shard.num_attempts) == (TASKS[1], 1, 30)


def test_other_settings_under_the_same_name_are_refused(
    tmp_path, in_process, monkeypatch, make_trajectory
):
    monkeypatch.setattr(
        amplification,
        "amplify_task",
        lambda _, source, tell: NewShard(
            [make_trajectory(i, task=source.task.id) for i in range(2)], 0, num_attempts=2
        ),
    )
    amplification.amplify(config(tmp_path, task=TASKS[0]))
    with pytest.raises(DatasetError, match="action_noise"):
        amplification.amplify(config(tmp_path, task=TASKS[0], action_noise=0.2))


@pytest.mark.sim
def test_attempts_start_from_shipped_and_drawn_init_states_in_turn():
    from rl_datagen.sim import load_scene
    from rl_datagen.tasks import get_task

    scene = load_scene(get_task(TASKS[0]))
    plans = [plan_attempt(scene, 0, n, num_shipped=2) for n in range(6)]
    assert [plan.initial.index for plan in plans] == [0, None, 1, None, None, None]
    assert len({plan.initial.sim_state.tobytes() for plan in plans}) == 6


@pytest.mark.sim
def test_a_task_with_fewer_init_states_than_asked_for():
    from rl_datagen.sim import load_scene
    from rl_datagen.tasks import get_task

    scene = load_scene(get_task("libero_goal_with_milk/7"))
    plans = [plan_attempt(scene, 0, n, num_shipped=50) for n in (18, 20)]
    assert [plan.initial.index for plan in plans] == [9, None]
    config = load_config(["task=libero_goal_with_milk/7"])
    assert held_back_indices(scene, config) == range(10)
    fewer = load_config(["task=libero_goal_with_milk/7", "evaluation.num_episodes=4"])
    assert held_back_indices(scene, fewer) == range(6, 10)
