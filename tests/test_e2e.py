"""The whole chain on real LIBERO, shortened: what ``make e2e`` runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

SHORT = (
    "name=short",
    "demos.num_episodes=16",
    "warm_start.num_updates=800",
    "polish.num_init_states=8",
    "polish.num_updates=100",
    "verdict.max_episodes=4",
    "evaluation.num_episodes=4",
    "algo.num_iterations=2",
    "algo.num_episodes_per_iteration=8",
    "algo.num_envs_per_env_runner=4",
    "collect.num_episodes=4",
    "collect.num_episodes_per_shard=2",
    "collect.max_attempts_per_episode=20",
    "collect.render.num_episodes=1",
    "collect.render.image_size=64",
)


def rl_datagen(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e")
    result = rl_datagen("quickstart", *SHORT, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_dataset_is_sound_and_holds_what_was_asked_for(outputs):
    result = rl_datagen("dataset", "verify", "outputs/datasets/short", cwd=outputs)
    assert result.returncode == 0, result.stderr
    assert "4 episodes" in result.stdout
    assert "2 shards" in result.stdout


def test_the_page_is_self_contained_and_has_the_video(outputs):
    page = (outputs / "outputs/runs/short/index.html").read_text("utf-8")
    assert "pick up the alphabet soup" in page
    assert "data:video/mp4;base64," in page
    assert "<svg" in page


def test_a_second_run_repeats_nothing(outputs):
    manifest = outputs / "outputs/datasets/short/manifest.json"
    before = manifest.stat().st_mtime_ns
    result = rl_datagen("quickstart", *SHORT, cwd=outputs)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("already done") == 10
    assert manifest.stat().st_mtime_ns == before


def test_a_run_that_lost_a_marker_continues_after_the_last_finished_stage(outputs):
    (outputs / "outputs/runs/short/stages/report.json").unlink()
    result = rl_datagen("quickstart", *SHORT, cwd=outputs)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("already done") == 9


def test_another_configuration_is_refused(outputs):
    result = rl_datagen("quickstart", *SHORT, "algo.lr=3e-5", cwd=outputs)
    assert result.returncode == 2
    assert "algo.lr" in result.stderr
    assert "--fresh" in result.stderr


def test_a_flipped_byte_is_found_and_its_shard_named(outputs):
    dataset = outputs / "outputs/datasets/short"
    shard = json.loads((dataset / "manifest.json").read_text())["shards"][1]["steps"]["path"]
    data = bytearray((dataset / shard).read_bytes())
    data[len(data) // 2] ^= 1
    (dataset / shard).write_bytes(data)
    result = rl_datagen("dataset", "verify", "outputs/datasets/short", cwd=outputs)
    assert result.returncode == 2
    assert shard in result.stderr
