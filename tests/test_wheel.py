"""The wheel, installed where there is no checkout: what a user has who never saw the repository."""

import zipfile
from pathlib import Path

import pytest

from tests.installed import ROOT, build_wheel, make_environment, run, succeed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = (
    "demos.num_episodes=2",
    "demos.num_shipped_init_states=2",
    "warm_start.num_updates=20",
    "policy.unet_channels=[8,16]",
    "polish.num_rounds=0",
    "verdict.max_episodes=4",
    "evaluation.num_episodes=1",
    "algo.num_iterations=1",
    "algo.num_env_runners=0",
    "algo.num_episodes_per_iteration=4",
    "algo.num_envs_per_env_runner=2",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The folder of an environment's programs: what trains experts, and no more."""
    return make_environment(tmp_path_factory.mktemp("environment"), wheel, "train")


def test_the_wheel_has_every_overlay(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "/configs/" in name}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    assert packed == {f"rl_datagen/{name}" for name in files}


def test_the_package_that_runs_is_the_wheels(programs, tmp_path):
    found = succeed(
        programs / "python", "-c", "import rl_datagen; print(rl_datagen.__file__)", cwd=tmp_path
    )
    assert Path(found.strip()).is_relative_to(programs.parent)


def test_overlays_are_known_in_an_empty_folder(programs, tmp_path):
    program = programs / "rl-datagen"
    listed = succeed(program, "config", "list", cwd=tmp_path)
    assert {"quickstart", "ablation/gaussian", "vla/pi05"} < {
        line.split()[0] for line in listed.splitlines()
    }
    shown = succeed(program, "config", "show", "quickstart", cwd=tmp_path)
    assert "name: quickstart" in shown
    assert "libero_goal/8" in succeed(program, "tasks", "libero_goal", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("train", "expert_stat"), "expert_state"),
        (("quickstart", "config/quickstart.yaml"), "quickstart"),
    ],
)
def test_a_wrong_name_is_one_paragraph_and_exit_code_2(programs, tmp_path, arguments, name):
    result = run(programs / "rl-datagen", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"Did you mean '{name}'?" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sim
def test_an_expert_is_trained_in_an_empty_folder(programs, tmp_path):
    arguments = ("train", "expert_state", "name=short", "task=libero_goal/7", *SHORT)
    printed = succeed(programs / "rl-datagen", *arguments, cwd=tmp_path)
    assert "success" in printed
    assert (tmp_path / "outputs/experts/libero_goal/7/short/weights.safetensors").is_file()
