import dataclasses

import av
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import RenderConfig, SimConfig
from rl_datagen.core.errors import ConfigError, DatasetError, UserError
from rl_datagen.data.dataset import read_rendered, read_trajectories, rendered_episodes
from rl_datagen.data.manifest import Manifest, read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy
from rl_datagen.jobs import render
from rl_datagen.jobs.render import render_dataset, render_episode
from rl_datagen.jobs.video import write_videos
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene, replay
from rl_datagen.tasks import get_task
from tests.told import Told

pytestmark = pytest.mark.sim
SMALL = RenderConfig(num_episodes=None, image_size=64)


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task("libero_spatial/3"))  # with fixtures that move between episodes


@pytest.fixture(scope="module")
def trajectories(scene):
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7)).astype(np.float32)
    plans = [PlannedEpisode(f"e{n}", scene.draw_state(n), n) for n in range(7)]
    sim = SimConfig(max_episode_steps=6)
    episodes = rollout(ReplayPolicy(actions), scene, plans, source="human", sim=sim)
    return sorted(episodes, key=lambda episode: episode.episode_id)


@pytest.fixture
def recorded(tmp_path, trajectories):
    """Seven short episodes, the last three of which do not replay: their states were changed."""
    broken = [dataclasses.replace(t, sim_state=t.sim_state + 1e-12) for t in trajectories[4:]]
    with DatasetWriter(tmp_path / "d", config={"collect": {"sim": {"backend": "exact"}}}) as writer:
        writer.append([*trajectories[:4], broken[0]])
        writer.append(trajectories[5:6])
    return tmp_path / "d"


@pytest.mark.slow
def test_a_replay_sees_every_step_with_both_cameras(scene, trajectories):
    episode = render_episode(trajectories[0], scene, SMALL)
    assert episode.agentview.shape == episode.wrist.shape == (6, 64, 64, 3)
    assert episode.agentview.std() > 10
    assert not np.array_equal(episode.wrist[0], episode.wrist[-1])


def test_a_replay_that_leaves_the_recorded_states_is_refused(scene, trajectories):
    states = trajectories[0].sim_state.copy()
    states[4, 3] += 1e-12
    with pytest.raises(DatasetError, match="env step 4"):
        render_episode(dataclasses.replace(trajectories[0], sim_state=states), scene, SMALL)


def test_a_stored_episode_replays_to_bit_identical_states(recorded, scene):
    trajectory = next(read_trajectories(recorded))
    states = [simulator.sim_state() for simulator in replay(trajectory, scene)]
    assert np.array(states).tobytes() == trajectory.sim_state.tobytes()


def test_what_does_not_replay_is_named_and_the_others_are_rendered(recorded, monkeypatch):
    told = Told()
    monkeypatch.setattr(render._Render, "num_in_process", 9)  # here, without Ray
    outcome = render_dataset(recorded, SMALL, progress=told)
    assert (outcome.total, outcome.missing, told.done) == (6, 1, 6)
    assert len(told.details) > 6  # progress moves with each episode, not with each file
    assert "episode e4 leaves the recorded states" in outcome.problems[0]
    with pytest.raises(UserError, match="1 of 6 episodes are missing"):
        outcome.check()
    assert rendered_episodes(recorded) == ["e0", "e1", "e2", "e3", "e5"]
    verify(recorded).check()
    result = CliRunner().invoke(app, ["dataset", "render", str(recorded), "--size", "64"])
    assert isinstance(result.exception, UserError)
    assert "e4" in str(result.exception)


def test_rendering_goes_on_and_never_mixes_sizes_or_encodings(recorded):
    first = render_dataset(recorded, SMALL.model_copy(update={"num_episodes": 2}))
    assert (first.total, first.missing) == (2, 0)
    for size, encoding in ((32, "png"), (64, "jpeg")):
        with pytest.raises(DatasetError, match="png of 64 x 64 pixels"):
            render_dataset(recorded, RenderConfig(image_size=size, encoding=encoding))
    before = [entry.path for entry in read_manifest(recorded).files()]
    again = render_dataset(recorded, SMALL.model_copy(update={"num_episodes": 4}))
    assert (again.total, again.missing) == (4, 0)
    added = {entry.path for entry in read_manifest(recorded).files()} - set(before)
    assert added == {"images/libero_spatial/3/part-00000-00002.parquet"}
    header = yaml.safe_load((recorded / "README.md").read_text().split("---")[1])
    kinds = {f["name"]: f["dtype"] for f in header["dataset_info"][0]["features"]}
    cameras = dict.fromkeys(("agentview", "wrist"), "image")
    assert kinds == {"episode_id": "string", "step": "int32", **cameras}


def test_rendering_takes_the_tasks_it_is_told(recorded):
    with pytest.raises(ConfigError, match=r"libero_goal.* selects no task of .*libero_spatial/3"):
        render_dataset(recorded, SMALL, tasks="libero_goal")
    one = RenderConfig(num_episodes=1, image_size=64)
    assert render_dataset(recorded, one, tasks="libero_spatial").total == 1
    assert len(rendered_episodes(recorded)) == 1


def test_jpeg_is_smaller_and_much_the_same(recorded, tmp_path, trajectories):
    with DatasetWriter(tmp_path / "other", config={}) as writer:
        writer.append(trajectories[:1])
    settings = {"num_episodes": 1, "image_size": 64}
    for dataset, encoding in ((recorded, "png"), (tmp_path / "other", "jpeg")):
        render_dataset(dataset, RenderConfig(encoding=encoding, **settings))
    images = [next(read_rendered(path))[1] for path in (recorded, tmp_path / "other")]
    assert [episode.encoding for episode in images] == ["png", "jpeg"]
    difference = images[0].agentview.astype(int) - images[1].agentview
    assert np.abs(difference).mean() < 5


def test_videos_come_from_images_or_from_a_replay(recorded):
    result = CliRunner().invoke(
        app, ["dataset", "video", str(recorded), "--size", "48", "--episodes", "2"]
    )
    assert result.exit_code == 0, result.exception
    paths = [recorded / "videos" / f"{name}.mp4" for name in ("e0", "e1")]
    assert all(str(path) in result.stdout for path in paths)
    render_dataset(recorded, RenderConfig(num_episodes=1, image_size=64))
    assert write_videos(recorded, num_episodes=1, image_size=48) == paths[:1]
    sizes = []
    for path in paths:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            sizes.append((frame.width, frame.height))
    assert sizes == [(128, 64), (96, 48)]
    for path in paths:
        path.unlink()
    assert write_videos(recorded, episode_ids=["e1"], image_size=48) == paths[1:]
    assert not paths[0].exists()


def test_a_merged_dataset_knows_the_backends_of_its_parts():
    config = {"inputs": {"a": {"config": {"sim": {"backend": "stock"}}}, "b": {"sim": {}}}}
    assert Manifest(config=config, provenance={}).backends == ("stock",)
    assert Manifest(config={}, provenance={}).backends == ("exact",)
