"""Modalities, further cameras and varied copies of a whole dataset."""

import json
import re

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import RenderConfig, SimConfig
from rl_datagen.config.views import ViewsConfig
from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data import point_cloud, read_rendered, verify
from rl_datagen.data.classes import segmentation_name
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy
from rl_datagen.jobs import render
from rl_datagen.jobs.render import render_dataset, render_episode, render_missing
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

SIZE = 48
CAMERAS = {"cameras": {"overhead": {"position": [0.5, 0.4, 1.9], "look_at": [0, 0, 0.9]}}}


@pytest.fixture(scope="module")
def trajectories():
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 7)).astype(np.float32)
    scene = load_scene(get_task("libero_spatial/3"))
    plans = [PlannedEpisode(f"e{n}", scene.draw_state(n), n) for n in range(2)]
    sim = SimConfig(max_episode_steps=3)
    episodes = rollout(ReplayPolicy(actions), scene, plans, source="human", sim=sim)
    return sorted(episodes, key=lambda episode: episode.episode_id)


@pytest.fixture
def recorded(tmp_path, trajectories, monkeypatch):
    monkeypatch.setattr(render._Render, "num_in_process", 9)  # here, without Ray
    with DatasetWriter(tmp_path / "d", config={"collect": {"sim": {"backend": "exact"}}}) as writer:
        writer.append(trajectories)
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump(CAMERAS))
    return tmp_path / "d"


@pytest.mark.slow
@pytest.mark.sim
def test_a_dataset_with_everything(recorded, trajectories):
    options = ["--modalities", "depth,segmentation", "--vary", "light,camera", "--copies", "2"]
    cameras = str(recorded.parent / "cameras.yaml")
    command = ["dataset", "render", str(recorded), "--size", str(SIZE), *options]
    result = CliRunner().invoke(app, [*command, "--cameras", cameras, "--episodes", "1"])
    assert result.exit_code == 0, result.exception
    verify(recorded).check()
    _, first = next(read_rendered(recorded, views=True))
    settings = RenderConfig(num_episodes=None, image_size=SIZE)
    plain = render_episode(trajectories[0], load_scene(get_task("libero_spatial/3")), settings)
    np.testing.assert_array_equal(first.agentview, plain.agentview)  # exact beside all the rest
    np.testing.assert_array_equal(first.wrist, plain.wrist)
    assert len(first.views) == 9
    drawn = [json.loads(text) for text in first.variations]
    assert all(set(each) == {"seed", "light", "cameras"} for each in drawn)
    assert drawn[0] != drawn[1]
    for name in ("agentview", "overhead"):
        views = [first.views[f"{name}{end}"] for end in ("", "_copy1", "_copy2")]
        assert len({view.image.tobytes() for view in views}) == 3
        assert len({view.extrinsics.tobytes() for view in views}) == 3
        assert len({view.depth.tobytes() for view in views}) == 3
    # What every camera sees of the hand lies around where the hand is.
    for view in first.views.values():
        maps = (view.depth[0], view.intrinsics[0], view.extrinsics[0])
        cloud = point_cloud(*maps, image=view.image[0], segmentation=view.segmentation[0])
        hand = np.array([segmentation_name(value) == "gripper" for value in cloud.ids])
        away = np.linalg.norm(cloud.points[hand] - trajectories[0].ee_pos[0], axis=1)
        assert hand.any()
        assert away.max() < 0.25
        assert cloud.colours.shape == (len(cloud.points), 3)
    views = first.settings.model_copy(update={"copies": 1})
    with pytest.raises(DatasetError, match=r"other copies.*--copies 2.*--copies 1 .*one kind"):
        render_dataset(recorded, settings, views=views)
    assert render_missing(recorded).missing == 0  # goes on in the way of what is there
    verify(recorded).check()
    _, second = list(read_rendered(recorded, views=True))[1]
    assert second.settings == first.settings
    assert second.variations != first.variations
    header = yaml.safe_load((recorded / "README.md").read_text().split("---")[1])
    fields = {field["name"]: field for field in header["dataset_info"][0]["features"]}
    assert fields["overhead_copy2_depth"]["dtype"] == "image"
    assert fields["wrist_extrinsics"] == {
        "name": "wrist_extrinsics",
        "sequence": "float64",
        "length": 16,
    }


@pytest.mark.sim
def test_a_dataset_without_any_is_as_it_was(recorded):
    settings = RenderConfig(num_episodes=None, image_size=SIZE)
    render_dataset(recorded, settings).check()
    (entry,) = read_manifest(recorded).shards[0].images
    with pytest.raises(DatasetError, match="nothing besides LIBERO's two images"):
        render_dataset(recorded, settings, views=ViewsConfig(modalities=("depth",)))
    assert read_manifest(recorded).shards[0].images == (entry,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--modalities", "dept"], r"modalities.0='dept'.*did you mean 'depth'"),
        (["--vary", "light"], "with copies=0: name what varies"),
        (["--copies", "2"], "name what varies"),
        (["--vary", "lights", "--copies", "2"], "vary.0='lights'"),
        (["--cameras", "CAMERAS"], "has no direction"),
    ],
)
def test_wrong_options_are_told_before_any_work(recorded, tmp_path, options, said):
    path = tmp_path / "bad.yaml"
    bad = {"position": [0, 0, 1], "look_at": [0, 0, 0]}
    path.write_text(yaml.safe_dump({"cameras": {"top": bad}}))
    given = [str(path) if word == "CAMERAS" else word for word in options]
    result = CliRunner().invoke(app, ["dataset", "render", str(recorded), *given])
    assert isinstance(result.exception, ConfigError)
    assert re.search(said, str(result.exception), re.IGNORECASE), result.exception
    assert not read_manifest(recorded).shards[0].images
