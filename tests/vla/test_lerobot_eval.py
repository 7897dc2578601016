"""The real ``lerobot-eval`` on the fast simulator, where lerobot is installed."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rl_datagen.core.errors import ConfigError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sim,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("lerobot") is None, reason="`make check-lerobot` has lerobot"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("act")
    subprocess.run([sys.executable, Path(__file__).with_name("make_act.py"), folder], check=True)
    return folder


def evaluate(folder, checkpoint, *options):
    """Runs ``lerobot-eval`` for a few env steps."""
    program = Path(sys.executable).with_name("lerobot-eval")
    options = [
        "--env.discover_packages_path=rl_datagen.lerobot",
        "--env.type=rl_datagen",
        "--env.observation_height=64",
        "--env.observation_width=64",
        "--env.episode_length=6",
        "--policy.device=cpu",
        f"--policy.path={checkpoint}",
        f"--output_dir={folder}",
        *options,
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run([program, *options], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_lerobot_eval_runs_on_the_fast_simulator(tmp_path, checkpoint, batch_size):
    """One after the other in its own process, and two in processes."""
    options = ("--env.task=libero_goal", "--env.task_ids=[7]", "--eval.n_episodes=2")
    done = evaluate(tmp_path, checkpoint, *options, f"--eval.batch_size={batch_size}")
    assert done.returncode == 0, done.stderr[-3000:]
    info = json.loads((tmp_path / "eval_info.json").read_text())
    assert info["overall"]["n_episodes"] == 2
    assert list(info["per_group"]) == ["libero_goal"]
    assert [task["task_id"] for task in info["per_task"]] == [7]
    assert len(list(tmp_path.glob("videos/libero_goal_7/*.mp4"))) == 2


@pytest.mark.filterwarnings("ignore")  # of what lerobot imports
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"control_mode": "absolute"}, "always relative. Use --env.type=libero"),
        ({"fps": 10}, "always 20"),
        ({"appearance": "dark"}, "Allowed: original, mujoco"),
        ({"task_ids": [12]}, "has no task with a number of env.task_ids"),
    ],
)
def test_what_it_does_not_do_is_refused(setting, says):
    plugin = importlib.import_module("rl_datagen.lerobot")
    with pytest.raises(ConfigError, match=says):
        plugin.FastLiberoConfig(task="libero_object", **setting).create_envs(1)
