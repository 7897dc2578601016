import json

import pytest
import torch
from safetensors.torch import save_file

from rl_datagen.config import Config
from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_expert, load_policy, save_expert
from tests.toy import TASK


def save(path, policy, stats):
    settings = policy.config.model_dump(mode="json")
    config = Config.model_validate({"task": TASK, "policy": settings})
    save_expert(path, policy, config, stats, {"success": 0.5})
    return config


@pytest.fixture
def folder(tmp_path, policy, stats):
    save(tmp_path / "expert", policy, stats)
    return tmp_path / "expert"


@pytest.mark.parametrize("encoder", ["state", "resnet", "vit"])
@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_round_trip(tmp_path, make, stats, observation, kind, encoder):
    policy = make(f"policy.encoder={encoder}", "policy.image_size=48", kind=kind)
    config = save(tmp_path, policy, stats)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.yaml",
        "metrics.json",
        "norm_stats.json",
        "weights.safetensors",
    ]
    loaded, loaded_config, _ = load_policy(tmp_path, task=TASK)
    assert loaded_config == config
    assert type(loaded) is type(policy)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"success": 0.5}
    noise = policy.draw_noise(6)
    assert torch.equal(loaded.sample(observation, noise), policy.sample(observation, noise))
    assert load_expert(tmp_path).image_size == (None if encoder == "state" else 48)


def test_another_task_is_refused(folder):
    with pytest.raises(UserError, match=r"libero_object/0.*libero_goal/3"):
        load_expert(folder, task="libero_goal/3")


def test_missing_files_are_named(folder):
    (folder / "norm_stats.json").unlink()
    with pytest.raises(UserError, match=r"norm_stats\.json missing"):
        load_expert(folder)


def test_wrong_shapes_are_named(folder, policy):
    weights = policy.state_dict()
    weights["encoder.0.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(UserError, match=r"encoder\.0\.weight.*\(3, 3\)"):
        load_expert(folder)


def test_weights_of_another_kind_are_named(folder, make):
    save_file(make(kind="gaussian").state_dict(), folder / "weights.safetensors")
    with pytest.raises(UserError, match=r"'log_std' has shape \(7,\) where .* makes none"):
        load_expert(folder)


def test_truncated_weights_are_a_clear_error(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="safetensors"):
        load_expert(folder)


def test_damaged_statistics_are_a_clear_error(folder):
    (folder / "norm_stats.json").write_text("{}")
    with pytest.raises(UserError, match="no normalisation statistics"):
        load_expert(folder)
