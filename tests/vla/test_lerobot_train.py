"""The real ``lerobot-train`` on our configurations and our export, where lerobot is installed."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rl_datagen.config import VlaConfig, load_config
from rl_datagen.vla.train import train

FORMATS = Path(__file__).parents[1] / "formats"
TINY = Path(__file__).parent / "tiny_pi"
ACT = (
    "model.kind=lerobot",
    "model.policy={type: act, chunk_size: 8, n_action_steps: 8, dim_model: 32, n_heads: 2,"
    " dim_feedforward: 32, n_encoder_layers: 1, n_vae_encoder_layers: 1,"
    " pretrained_backbone_weights: null}",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("lerobot") is None, reason="`make check-lerobot` has lerobot"),
]


@pytest.fixture
def run(diffusion, tmp_path, monkeypatch):
    """Trains for some steps and returns what came back, having checked that it is whole."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*settings, steps):
        own = [
            f"datasets={diffusion}",
            f"output_dir={tmp_path}",
            f"mlflow_uri=sqlite:///{tmp_path}/mlflow.db",
            "gpus_per_worker=0",
            "model.images=image",
            f"model.num_updates={steps}",
            f"model.checkpoint_interval={steps}",
            "model.train_batch_size=2",
            "model.num_loader_workers=0",
        ]
        folder = train(load_config([*settings, *own], model=VlaConfig))
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["iteration"] == steps
        assert metrics["loss"] > 0
        checkpoint = folder / "checkpoint"
        found = {path.name for path in checkpoint.iterdir()}
        assert {"config.json", "model.safetensors", "train_config.json"} <= found
        policy = json.loads((checkpoint / "config.json").read_text())
        assert policy["input_features"]["observation.state"]["shape"] == [8]
        assert policy["input_features"]["observation.images.image"]["shape"] == [3, 40, 40]
        return policy

    return run


def make(script, *arguments):
    """Runs one of the scripts that write tiny models."""
    environment = {**os.environ, "PYTHONPATH": f"{FORMATS}:{TINY}"}
    command = [sys.executable, FORMATS / script, *arguments]
    subprocess.run(command, check=True, env=environment)


def test_twenty_steps_of_a_small_policy(run):
    assert run(*ACT, steps=20)["type"] == "act"


def test_smolvla_around_a_tiny_vision_language_model(run, tmp_path):
    """As the overlay says, but for the model that it would fetch from the hub."""
    model = tmp_path / "smolvlm"
    make("make_smolvlm.py", model)
    policy = run(
        "vla/smolvla",
        f"model.policy.vlm_model_name={model}",
        "model.policy.num_vlm_layers=2",
        steps=4,
    )
    assert policy["type"] == "smolvla"
    assert policy["load_vlm_weights"]


@pytest.mark.parametrize("kind", ["pi0", "pi05"])
def test_pi_from_a_tiny_checkpoint(run, tmp_path, monkeypatch, kind):
    """As the overlay says, but for the checkpoint, which is as small as its architecture allows."""
    checkpoint = tmp_path / kind
    make("make_pi.py", kind, checkpoint)
    monkeypatch.setenv("PYTHONPATH", str(TINY), prepend=os.pathsep)
    policy = run(
        f"vla/{kind}", "num_workers=1", f"model.policy.pretrained_path={checkpoint}", steps=3
    )
    assert policy["type"] == kind
    assert policy["dtype"] == "bfloat16"
    text = (tmp_path / "vlas" / kind / "lerobot.log").read_text()
    assert "All keys loaded successfully!" in text
