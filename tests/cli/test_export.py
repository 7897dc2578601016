import numpy as np
import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import RenderConfig, SimConfig
from rl_datagen.core.errors import ConfigError, DatasetError, UserError
from rl_datagen.data import DatasetWriter, RenderedEpisode, read_rendered
from rl_datagen.data.manifest import read_manifest
from rl_datagen.demos import load_human_demonstration
from rl_datagen.demos.human import ReplayPolicy
from rl_datagen.jobs.render import render_dataset
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task


@pytest.fixture
def rendered(tmp_path, make_trajectory):
    path = tmp_path / "rendered"
    with DatasetWriter(path, config={}) as writer:
        action = np.zeros((12, 7), np.float32)  # every env step but the first two is a no-op
        action[:2] = 0.5
        action[2:, 6] = 0.5
        writer.append([make_trajectory(0, action=action), make_trajectory(1, success=False)])
        (shard,) = writer.manifest.shards
        views = np.zeros((2, 12, 16, 16, 3), np.uint8)
        names = [make_trajectory(i).episode_id for i in range(2)]
        writer.append_images([RenderedEpisode(name, *views) for name in names], shard=shard)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["lerobot"], "meta/info.json"),
        (["lerobot", "--images", "image"], "data/chunk-000/file-000.parquet"),
        (["lerobot", "--version", "v2.1", "--fps", "20"], "meta/episodes.jsonl"),
        (["lerobot", "--modality-json", "--workers", "1"], "meta/modality.json"),
        (["rlds"], "1.0.0/features.json"),
        (
            ["hdf5", "--no-images"],
            "libero_goal/open_the_top_drawer_and_put_the_bowl_inside_demo.hdf5",
        ),
    ],
)
def test_each_format(rendered, tmp_path, arguments, file):
    verb, *options = arguments
    done = run(verb, rendered, tmp_path / "out", "--drop-noops", *options)
    assert done.exception is None
    assert done.stdout.endswith(
        "out: 1 episodes, 2 frames; left out: 1 failed episodes, 10 no-ops.\n"
    )
    assert (tmp_path / "out" / file).is_file()


def test_what_the_user_can_put_right_is_named(rendered, dataset, tmp_path):
    assert isinstance(run("lerobot", rendered, rendered).exception, UserError)
    error = run("rlds", dataset, tmp_path / "out").exception
    assert isinstance(error, DatasetError)
    assert "rl-datagen dataset render" in str(error)
    run("hdf5", rendered, tmp_path / "out", "--task", "libero_goal", "--no-images")
    assert isinstance(run("lerobot", rendered, tmp_path / "out").exception, UserError)
    assert run("lerobot", rendered, tmp_path / "x", "--version", "v4").exit_code == 2
    error = run("rlds", dataset, tmp_path / "y", "--size", "64").exception
    assert isinstance(error, ConfigError)
    assert "--size 64 has no effect without --render" in str(error)
    assert isinstance(run("hdf5", dataset, "y", "--render", "--no-images").exception, ConfigError)


def test_a_taken_name_is_refused_before_anything_is_rendered(dataset, tmp_path):
    error = run("lerobot", dataset, tmp_path, "--render").exception
    assert isinstance(error, UserError)
    assert "exists already" in str(error)
    assert not read_manifest(dataset).images_appearance


@pytest.mark.slow
@pytest.mark.sim
def test_render_makes_the_images_that_are_missing_like_those_that_are_there(tmp_path):
    """As quickstart leaves it: images of the first episodes of each task."""
    scene, dataset = load_scene(get_task("libero_goal/8")), tmp_path / "collected"
    human = load_human_demonstration(scene.task)
    plans = [PlannedEpisode(f"e{n}", human.place(scene), n) for n in range(3)]
    sim = SimConfig(max_episode_steps=len(human.actions))
    policy = ReplayPolicy(human.actions)
    with DatasetWriter(dataset, config={"sim": {"backend": "exact"}}) as writer:
        writer.append(list(rollout(policy, scene, plans, source="human", sim=sim)))
    settings = RenderConfig(num_episodes=1, image_size=32, encoding="jpeg")
    render_dataset(dataset, settings, num_workers=1).check()
    refused = run("hdf5", dataset, tmp_path / "out").exception
    assert "2 of 3 episodes" in str(refused)
    assert "do it: --render" in str(refused)
    done = run("hdf5", dataset, tmp_path / "out", "--render", "--workers", "1")
    assert done.exception is None
    assert "render: begins (2 episodes)" in done.stdout
    assert "3 episodes" in done.stdout
    images = [images for _, images in read_rendered(dataset)]
    assert {(i.encoding, i.agentview.shape[1:3]) for i in images} == {("jpeg", (32, 32))}
    other = run("hdf5", dataset, tmp_path / "other", "--render", "--size", "64").exception
    assert "one dataset has one kind" in str(other)
