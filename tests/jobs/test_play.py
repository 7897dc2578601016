"""Experts are packed, found by the release's name, and watched."""

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from rl_datagen.algo.bc import warm_start
from rl_datagen.cli import app
from rl_datagen.config import SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.demos import ReplayPolicy
from rl_datagen.jobs import play
from rl_datagen.jobs.stored import Experts, find_policy
from rl_datagen.policy import load_expert, save_expert
from rl_datagen.policy.release import VARIABLE, released
from rl_datagen.rollout import plan_episode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from tests import toy

TASK = get_task(toy.TASK)


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A release of one barely trained expert, packed by the command."""
    config = toy.toy_config("warm_start.num_updates=2", "name=mine")
    policy, stats, metrics = warm_start(toy.demonstrations(4), config)
    save_expert(tmp_path / "outputs/experts" / TASK.id / "mine", policy, config, stats, metrics)
    command = ["expert", "pack", "mine", str(tmp_path / "release/experts")]
    result = CliRunner().invoke(app, [*command, "--output-dir", str(tmp_path / "outputs")])
    assert result.exit_code == 0, result.exception
    monkeypatch.setenv(VARIABLE, str(tmp_path / "release"))
    return tmp_path / "release"


def test_a_packed_expert_is_half_as_large_and_nearly_the_same(release, tmp_path):
    whole = tmp_path / "outputs/experts" / TASK.id / "mine"
    packed = release / "experts" / TASK.id
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (whole, packed)]
    assert sizes[1] < 0.55 * sizes[0]
    assert "output_dir" in (whole / "config.yaml").read_text()
    assert "output_dir" not in (packed / "config.yaml").read_text()  # a path of this machine
    one, other = (load_expert(folder).policy.state_dict() for folder in (whole, packed))
    for name, value in one.items():
        assert other[name].dtype == value.dtype
        assert np.allclose(other[name], value, rtol=1e-3, atol=1e-6)


def test_the_release_is_found_by_name(release):
    assert Experts("release", "elsewhere").tasks(None) == [TASK]
    assert Experts("release", "elsewhere").read(TASK).settings["name"] == "mine"
    assert find_policy(f"release/{TASK.id}").task == TASK.id
    assert released("release/elsewhere") == "release/elsewhere"  # a folder of the user's
    assert released("mine") == "mine"


def test_without_a_release_it_says_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=rf"Clone the repository and set {VARIABLE}"):
        Experts("release", "elsewhere")


def test_a_task_that_is_not_released_is_named(release):
    result = CliRunner().invoke(app, ["expert", "play", "libero_goal/3"])
    assert isinstance(result.exception, UserError)
    assert "libero_goal/3 has no expert" in str(result.exception)


@pytest.mark.sim
def test_an_expert_is_played_and_filmed(tmp_path, monkeypatch):
    scene = load_scene(TASK)
    actions = np.random.default_rng(0).uniform(-1, 1, (16, 7)).astype(np.float32)
    short = SimConfig(max_episode_steps=16)
    plans = [plan_episode(scene, "amplified", 0, number, None) for number in range(4)]
    episodes = list(rollout(ReplayPolicy(actions), scene, plans, source="amplified", sim=short))
    config = toy.toy_config("warm_start.num_updates=2", "name=mine")
    policy, stats, metrics = warm_start(episodes, config)
    save_expert(tmp_path / "experts" / TASK.id / "mine", policy, config, stats, metrics)
    monkeypatch.setattr(play, "SimConfig", lambda: short)
    video = tmp_path / "look.mp4"
    command = ["expert", "play", TASK.id, "--experts", "mine", "--output-dir", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "--size", "64", "--out", str(video)])
    assert result.exit_code == 0, result.exception
    assert "did not reach the goal after 16 env steps (0.8 s)" in result.stdout
    with av.open(str(video)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert frames == [(128, 64)] * 16
