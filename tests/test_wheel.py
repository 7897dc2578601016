"""The wheel, installed where there is no checkout: what a user has who never saw the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Without ``PYTHONPATH``, which may name a checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=cwd, env=environment
    )


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def has_build_backend() -> bool:
    """Whether this environment can build without fetching what ``pyproject.toml`` asks for."""
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("configs", "rl_datagen"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
    options = ["--no-build-isolation"] if has_build_backend() else []
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", *options)
    succeed(*pip, "--wheel-dir", folder, tree)
    shutil.rmtree(tree)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The folder of an environment's programs: the wheel's package, everybody else's from here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    succeed(*pip, wheel)
    # A path file's folders are searched last, and path files in them, such as that of an editable
    # installation, are not read.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


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
