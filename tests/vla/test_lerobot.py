import json
import sys
from pathlib import Path

import pytest
import yaml

from rl_datagen.config import VlaConfig, load_config
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.vla.folder import read_data
from rl_datagen.vla.lerobot import command, training_settings
from rl_datagen.vla.policy import load_vla
from rl_datagen.vla.train import train

CONFIGS = Path(__file__).parents[2] / "configs" / "vla"
STAND_IN = Path(__file__).parent / "stand_in"
SMALL = (
    "model.kind=lerobot",
    "model.policy.type=act",
    "model.num_updates=20",
    "model.checkpoint_interval=10",
    "model.images=image",
    f"model.python={sys.executable}",
)


@pytest.fixture
def make_lerobot_config(diffusion, tmp_path, monkeypatch):
    """Settings of a VLA that the stand-in for lerobot trains."""
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))

    class Nothing:
        def __getattr__(self, name):
            return lambda *_, **__: None

    monkeypatch.setattr("rl_datagen.vla.train.make_trackers", lambda *_: Nothing())

    def make(*overrides):
        settings = [f"datasets={diffusion}", f"output_dir={tmp_path}", *SMALL, *overrides]
        return load_config(settings, model=VlaConfig)

    return make


def test_checkpoint_and_metrics_are_brought_back(make_lerobot_config):
    rows = []
    folder = train(make_lerobot_config(), report=rows.append)
    assert (folder / "checkpoint" / "model.safetensors").read_text() == "20"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (
        metrics["curve"] == rows == [{"iteration": 20, "loss": 0.05, "grad_norm": 2.0, "lr": 1e-4}]
    )
    assert read_data(folder)["source"] == "diffusion_rl"
    assert not (folder / "work").exists()
    with pytest.raises(UserError, match="lerobot-eval"):
        load_vla(folder)


def test_a_failure_shows_the_log_and_the_same_command_goes_on(make_lerobot_config):
    config = make_lerobot_config("model.policy.dies_at=15", "model.num_updates=200")
    with pytest.raises(UserError, match=r"(?s)exit code 1.*lerobot\.log:\n.*CUDA out of memory"):
        train(config)
    arguments = command(config, config.folder.absolute() / "work")
    assert arguments[-1] == "--resume=true"
    rows = []
    folder = train(config, report=rows.append)
    assert [row["iteration"] for row in rows] == [50, 100, 150, 200]
    assert (folder / "checkpoint" / "model.safetensors").read_text() == "200"


def test_a_python_that_is_not_there_is_named(make_lerobot_config):
    with pytest.raises(UserError, match=r"model\.python=/no/python cannot be started"):
        train(make_lerobot_config("model.python=/no/python"))


def test_several_processes_share_the_batch_under_accelerate(make_lerobot_config, tmp_path):
    config = make_lerobot_config("num_workers=4", "gpus_per_worker=1")
    settings = training_settings(config, config.model, tmp_path, tmp_path)
    assert settings["batch_size"] == 8
    assert settings["policy"]["device"] == "cuda"
    assert command(config, tmp_path)[:4] == [
        "-m",
        "accelerate.commands.launch",
        "--num_processes=4",
        "-m",
    ]
    config = make_lerobot_config("num_workers=5")
    with pytest.raises(ConfigError, match="num_workers=5"):
        training_settings(config, config.model, tmp_path, tmp_path)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_overlays_are_valid(path):
    config = load_config([str(path), "datasets=outputs/datasets/collected"], model=VlaConfig)
    assert config.name == path.stem
    if config.model.kind == "lerobot":
        assert {"type"} <= set(yaml.safe_load(path.read_text())["model"]["policy"])
        assert training_settings(config, config.model, path, path)["policy"]["push_to_hub"] is False


def test_a_policy_without_a_type_is_refused(make_lerobot_config, tmp_path):
    config = make_lerobot_config("model.policy={}")
    config = config.model_copy(update={"model": config.model.model_copy(update={"policy": {}})})
    with pytest.raises(ConfigError, match="vla/smolvla"):
        training_settings(config, config.model, tmp_path, tmp_path)
