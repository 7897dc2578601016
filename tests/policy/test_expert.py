import json

import pytest
import torch
from safetensors.torch import save_file

from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_expert, load_policy, save_expert
from tests.toy import TASK, toy_config


@pytest.fixture
def folder(tmp_path, policy, stats):
    save_expert(
        tmp_path / "expert", policy, toy_config("policy.action_steps=3"), stats, {"success": 0.5}
    )
    return tmp_path / "expert"


def test_round_trip(folder, policy, observation):
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "metrics.json",
        "norm_stats.json",
        "weights.safetensors",
    ]
    loaded, config, _ = load_policy(folder, task=TASK)
    assert config == toy_config("policy.action_steps=3")
    assert json.loads((folder / "metrics.json").read_text()) == {"success": 0.5}
    noise = policy.draw_noise(6)
    torch.testing.assert_close(loaded.sample(observation, noise), policy.sample(observation, noise))


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


def test_truncated_weights_are_a_clear_error(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="safetensors"):
        load_expert(folder)


def test_damaged_statistics_are_a_clear_error(folder):
    (folder / "norm_stats.json").write_text("{}")
    with pytest.raises(UserError, match="no normalisation statistics"):
        load_expert(folder)
