"""A signal ends a command with one line, its exit code and no process left: the real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch

from rl_datagen.tasks import get_task
from rl_datagen.vla.language import save_embeddings
from tests.nodes import end, marked

pytestmark = pytest.mark.sim
RELEASE = Path(__file__).parents[2] / "release/libero130"
IN_PROCESS = ("demos", "amplify", "task=libero_object/0", "num_episodes=500", "num_workers=1")
ON_RAY = {
    "amplify": ("demos", "amplify", "task=libero_object", "num_episodes=90", "num_workers=2"),
    "collect": ("collect", "experts=release", "num_episodes=90", "num_workers=2"),
    "evaluate": ("evaluate", "release/libero_goal/0", "num_workers=2"),
    "train": ("train", "expert_state", "warm_start.num_updates=1", "polish.num_rounds=1"),
    "campaign": ("campaign", "run", "expert_state", "campaign", "task=libero_object/0-1"),
    "paper": ("paper", "paper_tiny"),
    "ablate": ("ablate", "task=libero_object/0"),
    "quickstart": ("quickstart",),
    "hydrate": ("dataset", "hydrate", str(RELEASE), "whole"),
}
ON_A_DATASET = {
    "render": (("dataset", "render", "dataset", "--size", "512"), 10),
    "vla": (("vla", "train", "vla/tiny", "datasets=rendered", "model.num_updates=100000"), 15),
}


@pytest.fixture
def run(tmp_path):
    """Starts a command, signals it once it is at work, and returns what it ended with."""
    mark = f"test-{uuid.uuid4()}"

    def start(number, arguments, seconds_at_work):
        log = tmp_path / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "rl_datagen", *arguments],
                cwd=tmp_path,
                stdout=file,
                stderr=file,
                env=os.environ | {"RL_DATAGEN_TEST": mark},
            )
        while process.poll() is None and not re.search("begins|started", log.read_text()):
            time.sleep(0.1)
        time.sleep(seconds_at_work)
        assert process.poll() is None, log.read_text()
        process.send_signal(number)
        code = process.wait(60)
        deadline = time.monotonic() + 30
        while any(marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return code, log.read_text().splitlines(), list(marked(mark))

    yield start
    end(mark)


def check(number, code, lines, left):
    assert code == 128 + number, lines
    assert lines[-1].startswith(f"Stopped by {signal.Signals(number).name}. What is finished is")
    assert not any("Traceback" in line or "***" in line for line in lines)
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_in_this_process(run, number):
    check(number, *run(number, IN_PROCESS, 0.5))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ON_RAY)
def test_a_command_on_ray(run, command, number):
    check(number, *run(number, ON_RAY[command], 30))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """A dataset without images, and one with."""
    root = tmp_path_factory.mktemp("datasets")
    settings = ["source=amplified", "task=libero_object/0", "num_episodes=8", "num_workers=1"]
    finish("collect", *settings, "output_dir=made", cwd=root)
    (root / "made/datasets/collected").rename(root / "dataset")
    shutil.rmtree(root / "made")
    shutil.copytree(root / "dataset", root / "rendered")
    finish("dataset", "render", "rendered", "--size", "64", cwd=root)
    sentence, vector = get_task("libero_object/0").instruction, torch.zeros(6)
    save_embeddings(root / "outputs/vlas/vla/embeddings.safetensors", {sentence: vector})
    return root


def finish(*arguments, cwd):
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ON_A_DATASET)
def test_a_command_on_a_dataset(run, datasets, tmp_path, command, number):
    shutil.copytree(datasets, tmp_path, dirs_exist_ok=True)
    check(number, *run(number, *ON_A_DATASET[command]))
