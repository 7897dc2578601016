"""The real ``lerobot-train`` on our configuration and our export, if its environment is there."""

import json
from pathlib import Path

import pytest

from rl_datagen.config import VlaConfig, load_config
from rl_datagen.vla.train import train

PYTHON = Path(__file__).parents[2] / ".venv-lerobot" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PYTHON.exists(), reason="make check-formats makes .venv-lerobot"),
]


def test_twenty_steps_of_a_small_policy(diffusion, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = load_config(
        [
            f"datasets={diffusion}",
            f"output_dir={tmp_path}",
            f"mlflow_uri=sqlite:///{tmp_path}/mlflow.db",
            f"model.python={PYTHON}",
            "model.kind=lerobot",
            "model.images=image",
            "model.num_updates=20",
            "model.checkpoint_interval=10",
            "model.train_batch_size=2",
            "model.num_loader_workers=0",
            "model.policy={type: act, chunk_size: 8, n_action_steps: 8, dim_model: 32, n_heads: 2,"
            " dim_feedforward: 32, n_encoder_layers: 1, n_vae_encoder_layers: 1,"
            " pretrained_backbone_weights: null}",
        ],
        model=VlaConfig,
    )
    folder = train(config)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["iteration"] == 20
    assert metrics["loss"] > 0
    found = {path.name for path in (folder / "checkpoint").iterdir()}
    assert {"config.json", "model.safetensors", "train_config.json"} <= found
    features = json.loads((folder / "checkpoint" / "config.json").read_text())["input_features"]
    assert features["observation.state"]["shape"] == [8]
    assert features["observation.images.image"]["shape"] == [3, 40, 40]
