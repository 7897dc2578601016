from dataclasses import replace

import h5py
import numpy as np
import pytest

from rl_datagen.config import ImportConfig
from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.verify import verify
from rl_datagen.demos import load_human_demonstration, replay
from rl_datagen.export import write_hdf5
from rl_datagen.jobs import import_demos
from rl_datagen.jobs.import_demos import import_demonstrations
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from tests.told import Told

pytestmark = pytest.mark.sim

TASK = get_task("libero_goal/0")  # has fixtures that move


@pytest.fixture
def config(tmp_path):
    return ImportConfig(task=TASK.id, output_dir=str(tmp_path / "outputs"))


@pytest.fixture(scope="module")
def episodes():
    """A success from a newly drawn place of the cabinet, and a failure."""
    scene = load_scene(TASK)
    human = load_human_demonstration(TASK)
    states = [scene.draw_state(3), scene.shipped_state(1)]
    demonstrations = [
        replace(human, fixture_poses=states[0].fixture_poses, name="a"),
        replace(
            human,
            init_state=states[1].sim_state,
            fixture_poses=states[1].fixture_poses,
            num_settle_steps=3,
            actions=human.actions[:40],
        ),
    ]
    return [replay(d, scene, ImportConfig().sim, 0) for d in demonstrations]


@pytest.fixture
def path(tmp_path, episodes):
    path = tmp_path / "libero_goal" / f"{TASK.name}_demo.hdf5"
    write_hdf5(path, [(episode, None) for episode in episodes])
    return path


def damage(path):
    with h5py.File(path, "a") as file:
        file["data/demo_0/actions"][3, 2] = np.nan


def test_what_was_written_replays_bit_for_bit(config, path, episodes):
    report = import_demonstrations(config, str(path.parent))
    stored = list(read_trajectories(report.dataset))
    assert [t.episode_id for t in stored] == [f"libero_goal-0-human-demo_{i}" for i in (0, 1)]
    for imported, original in zip(stored, episodes, strict=True):
        same = replace(
            imported, episode_id=original.episode_id, init_state_index=original.init_state_index
        )
        assert same == original
    verify(report.dataset).check()


def test_failures_are_kept_and_named_and_a_second_call_repeats_nothing(
    config, path, episodes, monkeypatch
):
    first = import_demonstrations(config, str(path))
    (task,) = first.tasks
    succeeded = sum(episode.success for episode in episodes)
    assert (task.demonstrations, task.succeeded) == (2, succeeded)
    assert task.problems[-1] == "demo_1 misses the goal in its 40 steps."
    monkeypatch.setattr(import_demos, "load_scene", None)
    assert import_demonstrations(config, str(path)) == first


def test_a_malformed_demonstration_is_skipped_or_refused(config, path):
    damage(path)
    refusing = config.model_copy(update={"on_error": "refuse", "name": "strict"})
    with pytest.raises(UserError, match=r"demo_0 has a value in actions.*on_error=skip"):
        import_demonstrations(refusing, str(path))
    (path.parent / "notes_demo.hdf5").write_text("not HDF5")
    report = import_demonstrations(config, str(path.parent))
    assert "notes_demo.hdf5 is damaged or no HDF5 file" in report.problems[0]
    assert report.tasks[0].demonstrations == 1
    assert "demo_0 has a value in actions at env step 3" in report.tasks[0].problems[0]


def test_a_second_file_of_a_task_is_named(config, path, tmp_path):
    other = tmp_path / "libero_goal" / "regenerated" / path.name
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    report = import_demonstrations(config, str(tmp_path / "libero_goal"))
    assert report.tasks[0].demonstrations == 2
    assert "which comes first" in report.problems[0]


def test_the_bundled_demonstration_succeeds(config, path):
    report = import_demonstrations(config)
    assert [(t.task, t.demonstrations, t.succeeded) for t in report.tasks] == [(TASK.id, 1, 1)]
    with pytest.raises(DatasetError, match=r"another configuration: .*source"):
        import_demonstrations(config, str(path))


@pytest.mark.slow
@pytest.mark.ray
def test_several_tasks_are_replayed_side_by_side(config, monkeypatch):
    several = config.model_copy(update={"task": "libero_goal/0,libero_object/0", "num_workers": 2})
    report = import_demonstrations(several)
    assert [(t.task, t.succeeded) for t in report.tasks] == [(TASK.id, 1), ("libero_object/0", 1)]
    monkeypatch.setattr(import_demos, "load_scene", None)
    told = Told()
    assert import_demonstrations(several, progress=told) == report
    assert told.totals == [0]


def test_sources_without_demonstrations_say_what_to_give(config, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        import_demonstrations(config, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no sound demonstration of task=libero_goal/0"):
        import_demonstrations(config, str(tmp_path))
    (tmp_path / f"{TASK.name}_demo.hdf5").write_text("not HDF5")
    with pytest.raises(UserError, match=r"is damaged or no HDF5 file.*Give 'bundled'"):
        import_demonstrations(config, str(tmp_path))
    assert not (tmp_path / "outputs").exists()
