"""Processes that are killed at random moments, until what they make is whole: the real commands.

``KILLS`` (50) says how many kills there are in all, ``KILL_SEED`` (0) which moments.
"""

import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch

from rl_datagen.core.storage import sha256, temporary_of
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.results import read_episodes
from rl_datagen.data.verify import verify
from rl_datagen.tasks import get_task
from rl_datagen.vla.language import save_embeddings
from tests.nodes import marked

logger = logging.getLogger(__name__)

pytestmark = [
    *(pytest.mark.sim, pytest.mark.ray, pytest.mark.slow, pytest.mark.faults),
    pytest.mark.timeout(7200),
]
KILLS, SEED = int(os.environ.get("KILLS", 50)), int(os.environ.get("KILL_SEED", 0))
TASK = "libero_object/0"
EXPERT = (
    *(
        "name=small",
        "demos.num_episodes=6",
        "warm_start.num_updates=100",
        "policy.unet_channels=[16]",
    ),
    *("policy.encoder_width=16", "policy.num_denoising_steps=5", "polish.num_rounds=1"),
    *("polish.num_init_states=2", "polish.num_attempts=1", "polish.num_updates=10"),
    *("verdict.max_episodes=2", "evaluation.num_episodes=2", "algo.num_iterations=3"),
    *("algo.num_env_runners=0", "algo.num_envs_per_env_runner=2", "algo.evaluation_interval=2"),
    *("algo.num_episodes_per_iteration=2", "algo.num_critic_epochs=1", "algo.critic_width=16"),
    *("algo.patience=null", "sim.max_episode_steps=150"),
)
VLA = (
    *("model.encoder=compact", "model.image_size=32", "model.encoder_width=16"),
    *("model.unet_channels=[8,16]", "model.num_updates=400", "model.train_batch_size=4"),
    *("model.num_lr_warmup_updates=2", "model.checkpoint_interval=20", "name=small"),
)
AMPLIFIED = ("source=amplified", "num_episodes_per_shard=1", "max_attempts_per_episode=4")
COMMANDS = {
    "amplify": ("demos", "amplify", "task=libero_object/0-2", "num_episodes=2", "num_workers=1"),
    "collect": ("collect", *AMPLIFIED, f"task={TASK}", "num_episodes=5", "num_workers=2"),
    "render": ("dataset", "render", "dataset", "--size", "64", "--workers", "1"),
    "evaluate": ("evaluate", "release/libero_goal/5", "num_episodes=6", "num_simulators=1"),
    "vla": ("vla", "train", "datasets=dataset", *VLA),
    "train": ("train", f"task={TASK}", *EXPERT),
    "campaign": ("campaign", "run", f"task={TASK}", *EXPERT, "campaign.max_concurrent_trials=1"),
}
BUSY = "Call again if this machine was too busy to start it"
CHANGING = ("seconds", "idle", "lag", "per_second")  # what depends on the machine's mood


class Session:
    """A folder with the command's inputs, and its processes."""

    def __init__(self, root, inputs, arguments):
        self.root, self.arguments, self.mark = root, arguments, f"test-{uuid.uuid4()}"
        shutil.copytree(inputs, root)

    def start(self):
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "rl_datagen", *self.arguments],
                cwd=self.root,
                stdout=log,
                stderr=log,
                env=os.environ | {"RL_DATAGEN_TEST": self.mark},
            )

    def killed(self, seconds):
        """Whether the process was at work still when it was killed after some seconds."""
        process = self.start()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.none_left()
            return True
        log = (self.root / "log").read_text()
        assert code == 0 or BUSY in log.splitlines()[-1], log
        return False

    def to_the_end(self):
        for _ in range(3):
            code = self.start().wait()
            self.none_left()
            log = (self.root / "log").read_text()
            if code == 0 or BUSY not in log.splitlines()[-1]:
                break
        assert code == 0, log

    def none_left(self):
        """Workers find out that nobody wants them any more."""
        deadline = time.monotonic() + 120
        while (left := list(marked(self.mark))) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left, [Path(f"/proc/{pid}/cmdline").read_bytes()[:300] for pid in left]

    def results(self):
        """What was made, by path; and nothing else."""
        files = [path for path in sorted(self.root.rglob("*")) if path.is_file()]
        assert not [path for path in files if temporary_of(path) or "partial" in path.parts]
        found = {}
        for path in files:
            name = path.relative_to(self.root).as_posix()
            if "mlartifacts" in path.parts:
                continue  # a copy, in a folder whose name is drawn
            if path.suffix == ".safetensors":
                found[name] = sha256(path)
            elif path.name == "manifest.json":
                verify(path.parent).check()
                found[name] = read_manifest(path.parent).content_hash
            elif path.name == "results.parquet":
                found[name] = read_episodes(path)
            elif path.name == "learning_curve.json":
                found[name] = [steady(row) for row in json.loads(path.read_text())]
            elif path.parent.name == "trials":
                found[name] = json.loads(path.read_text())["state"]
        return found


def steady(row):
    return {key: value for key, value in row.items() if not any(w in key for w in CHANGING)}


def prepare(root, *arguments):
    """Runs a command, again if this machine was too busy for it."""
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    for _ in range(3):
        done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
        if done.returncode == 0 or BUSY not in done.stderr:
            break
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A rendered dataset, and the embedding of its instruction."""
    root = tmp_path_factory.mktemp("inputs")
    arguments = ["collect", *AMPLIFIED, f"task={TASK}", "num_episodes=4", "num_workers=1"]
    prepare(root, *arguments, "output_dir=made")
    (root / "made/datasets/collected").rename(root / "dataset")
    shutil.rmtree(root / "made")
    return root


@pytest.fixture(scope="module")
def rendered(inputs, tmp_path_factory):
    root = shutil.copytree(inputs, tmp_path_factory.mktemp("rendered") / "root")
    prepare(root, "dataset", "render", "dataset", "--size", "64", "--workers", "1")
    vector = torch.randn(6, generator=torch.Generator().manual_seed(0))
    sentence = get_task(TASK).instruction
    save_embeddings(root / "outputs/vlas/small/embeddings.safetensors", {sentence: vector})
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_what_was_killed_ends_as_what_was_not(command, tmp_path, request):
    given = request.getfixturevalue("rendered" if command == "vla" else "inputs")
    rng, begin = random.Random(f"{SEED}-{command}"), time.monotonic()
    whole = Session(tmp_path / "whole", given, COMMANDS[command])
    whole.to_the_end()
    seconds, expected = time.monotonic() - begin, whole.results()
    assert expected
    names = list(COMMANDS)
    kills = KILLS // len(names) + (names.index(command) < KILLS % len(names))
    rounds, done = 0, 0
    while done < kills:
        session = Session(tmp_path / f"round-{rounds}", given, COMMANDS[command])
        rounds += 1
        while done < kills and session.killed(rng.uniform(0.1, 1.1) * seconds):
            done += 1
        session.to_the_end()
        assert session.results() == expected
    logger.info("command=%s kills=%d rounds=%d seconds=%.0f", command, done, rounds, seconds)
