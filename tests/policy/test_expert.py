import json

import pytest
import torch
from safetensors.torch import load_file, save_file

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
    with pytest.raises(UserError, match=r"'log_std' is \(7,\) numbers where .* makes none"):
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


def change(folder, name, value):
    """Writes other weights without a checksum, as an earlier release or another program would."""
    weights = load_file(folder / "weights.safetensors")
    weights[name] = value(weights[name])
    save_file(weights, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda w: w.to(torch.int8), r"torch\.int8 where .* numbers"),
        (lambda w: w.bool(), r"torch\.bool where .* numbers"),
        (lambda w: w.index_fill(0, torch.tensor([0]), torch.nan), "not finite"),
        (lambda w: w.index_fill(0, torch.tensor([0]), -torch.inf), "not finite"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(folder, value, said):
    change(folder, "encoder.0.weight", value)
    with pytest.raises(UserError, match=said):
        load_expert(folder)


def test_half_precision_and_files_without_checksums_still_load(folder):
    change(folder, "encoder.0.weight", torch.Tensor.half)
    load_expert(folder)


def test_one_changed_bit_is_noticed(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # a small number becomes another one
    path.write_bytes(content)
    with pytest.raises(UserError, match="another checksum of weights"):
        load_expert(folder)


def test_statistics_of_another_expert_are_noticed(folder):
    values = json.loads((folder / "norm_stats.json").read_text())
    values["observation"]["proprio"]["mean"][0] += 0.01
    (folder / "norm_stats.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"another checksum of 'norm_stats\.json'"):
        load_expert(folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("observation", "proprio", "std"), 0.0),
        (("observation", "proprio", "std"), -1.0),
        (("observation", "proprio", "std"), float("nan")),
        (("observation", "proprio", "mean"), float("inf")),
        (("observation", "proprio", "mean"), "much"),
        (("action", "low"), 2.0),
        (("action", "high"), None),
    ],
)
def test_statistics_that_cannot_scale_are_refused(folder, path, value):
    values = json.loads((folder / "norm_stats.json").read_text())
    place = values
    for key in path:
        place = place[key]
    place[0] = value
    (folder / "norm_stats.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="no normalisation statistics"):
        load_expert(folder)
