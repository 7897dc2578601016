import numpy as np
import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.data import DatasetWriter, RenderedEpisode


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
        (["lerobot", "--version", "v2.1"], "meta/episodes.jsonl"),
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
