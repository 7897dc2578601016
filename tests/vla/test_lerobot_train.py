"""The real ``lerobot-train`` on our configuration and our export, if its environment is there."""

import json
import subprocess
from pathlib import Path

import pytest

from rl_datagen.config import VlaConfig, load_config
from rl_datagen.vla.train import train

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-lerobot" / "bin" / "python"
ACT = (
    "model.kind=lerobot",
    "model.policy={type: act, chunk_size: 8, n_action_steps: 8, dim_model: 32, n_heads: 2,"
    " dim_feedforward: 32, n_encoder_layers: 1, n_vae_encoder_layers: 1,"
    " pretrained_backbone_weights: null}",
)
STEPS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PYTHON.exists(), reason="make check-formats makes .venv-lerobot"),
]


@pytest.fixture
def run(diffusion, tmp_path, monkeypatch):
    """Trains for 20 steps and returns what came back, having checked that it is whole."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*settings):
        own = [
            f"datasets={diffusion}",
            f"output_dir={tmp_path}",
            f"mlflow_uri=sqlite:///{tmp_path}/mlflow.db",
            f"model.python={PYTHON}",
            "gpus_per_worker=0",
            "model.images=image",
            f"model.num_updates={STEPS}",
            "model.checkpoint_interval=10",
            "model.train_batch_size=2",
            "model.num_loader_workers=0",
        ]
        folder = train(load_config([*settings, *own], model=VlaConfig))
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["iteration"] == STEPS
        assert metrics["loss"] > 0
        checkpoint = folder / "checkpoint"
        found = {path.name for path in checkpoint.iterdir()}
        assert {"config.json", "model.safetensors", "train_config.json"} <= found
        policy = json.loads((checkpoint / "config.json").read_text())
        assert policy["input_features"]["observation.state"]["shape"] == [8]
        assert policy["input_features"]["observation.images.image"]["shape"] == [3, 40, 40]
        return policy

    return run


def test_twenty_steps_of_a_small_policy(run):
    assert run(*ACT)["type"] == "act"


def test_twenty_steps_of_smolvla_around_a_tiny_vision_language_model(run, tmp_path):
    """As configs/vla/smolvla.yaml says, but for the model that it would fetch from the hub."""
    model = tmp_path / "smolvlm"
    command = [PYTHON, ROOT / "tests" / "formats" / "make_smolvlm.py", model]
    subprocess.run(command, check=True)
    policy = run(
        str(ROOT / "configs" / "vla" / "smolvla.yaml"),
        f"model.policy.vlm_model_name={model}",
        "model.policy.num_vlm_layers=2",
    )
    assert policy["type"] == "smolvla"
    assert policy["load_vlm_weights"]
