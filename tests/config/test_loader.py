from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.config import (
    Config,
    DiffusionConfig,
    GaussianConfig,
    load_config,
    parse_override,
)
from rl_datagen.core.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    "overlay",
    sorted([*CONFIGS.glob("expert_*.yaml"), *CONFIGS.glob("ablation/*.yaml")]),
    ids=lambda path: path.stem,
)
def test_every_overlay_says_something_that_is_allowed(overlay):
    assert load_config([str(overlay)]) != Config()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["policy.sampler=ddpm", "policy.num_denoising_steps=100", "policy.sampling_eta=0.5"],
            ("sampling_eta=0.5", "ddpm"),
        ),
        (["policy.kind=gaussian", "policy.init_std=0.01"], ("init_std=0.01", "min_std=0.04")),
        (["policy.kind=gaussian", "policy.sampler=ddim"], ("'policy.sampler'", "policy.min_std")),
        (["policy.encoder=vit", "policy.image_size=100"], ("image_size=100", "multiple of 8")),
        (["policy.kind=gaussian", "policy.action_steps=9"], ("action_steps=9 is more than",)),
    ],
)
def test_settings_that_contradict_each_other(arguments, parts):
    with pytest.raises(ConfigError) as error:
        load_config(arguments)
    for part in parts:
        assert part in str(error.value)


def test_later_arguments_win(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("algo:\n  lr: 3e-4\n  num_epochs: 2\n")
    config = load_config([str(overlay), "algo.lr=1e-4"])
    assert config.algo.lr == 1e-4
    assert config.algo.num_epochs == 2
    assert config.algo.gamma == Config().algo.gamma


@given(st.floats(min_value=1e-12, max_value=1e3))
def test_numbers_survive_an_override(value):
    assert load_config([f"algo.lr={value!r}"]).algo.lr == value


def test_an_override_is_yaml_under_a_dotted_path():
    assert parse_override("policy.unet_channels=[8, 16]") == {"policy": {"unet_channels": [8, 16]}}


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("algo.lrr=1", ("Unknown setting 'algo.lrr'", "Did you mean 'algo.lr'")),
        ("alog.lr=1", ("Unknown setting 'alog'", "Did you mean 'algo'")),
        ("algo.lr=fast", ("algo.lr='fast'", "valid number")),
        ("algo.num_epochs=0", ("algo.num_epochs=0", "greater than or equal to 1")),
        ("task=libero_objct/0", ("libero_objct/0", "Did you mean 'libero_object'")),
        ("sim.backend=quick", ("sim.backend='quick'", "'exact' or 'stock'")),
        ("policy.action_steps=99", ("Setting policy: action_steps=99", "action_horizon")),
        ("policy.kind=normal", ("policy.kind='normal'", "'diffusion' or 'gaussian'")),
        ("policy.init_std=0.1", ("Unknown setting 'policy.init_std'", "policy.sampling_eta")),
        ("policy.unet_chanels=[8]", ("Did you mean 'policy.unet_channels'",)),
        ("policy.encoder=resnett", ("Setting policy.encoder='resnett'", "'resnet'")),
        ("policy.num_denoising_steps=101", ("=101 is more than num_train_timesteps=100",)),
        ("policy.sampler=ddpm", ("num_denoising_steps=5", "sampler='ddpm'", "to 100")),
        ("policy.sampling_eta=1.5", ("policy.sampling_eta=1.5", "less than or equal to 1")),
        ("policy.unet_channels=[8,8,8,8,8]", ("action_horizon=8", "multiple of 16")),
        ("name=../x", ("name='../x'",)),
        ("missing.yaml", ("missing.yaml", "neither")),
        ("1x=3", ("not a setting",)),
        ("algo.lr=[", ("not YAML",)),
    ],
)
def test_bad_input_names_the_setting_and_what_is_allowed(argument, parts):
    with pytest.raises(ConfigError) as error:
        load_config([argument])
    for part in parts:
        assert part in str(error.value)


def test_another_kind_replaces_the_section():
    config = load_config(["policy.kind=gaussian", "policy.kind=diffusion"])
    assert config.policy == DiffusionConfig()
    config = load_config(["policy.kind=gaussian", "policy.init_std=0.2"])
    assert config.policy == GaussianConfig(init_std=0.2)
    assert config.policy.source == "gaussian_rl"


def test_the_same_kind_keeps_the_section():
    config = load_config(["policy.action_steps=4", "policy.kind=diffusion"])
    assert config.policy == DiffusionConfig(action_steps=4)
    config = load_config(["policy.kind=gaussian", "policy.init_std=0.2", "policy.kind=gaussian"])
    assert config.policy == GaussianConfig(init_std=0.2)


def test_an_overlay_replaces_the_section_of_another_kind(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("policy:\n  kind: gaussian\n  encoder: resnet\n")
    config = load_config([str(overlay), "policy.image_size=64"])
    assert config.policy == GaussianConfig(encoder="resnet", image_size=64)


def test_every_setting_says_what_it_means():
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    undocumented = [
        name
        for section in sections
        for name, field in section["properties"].items()
        if "description" not in field and "$ref" not in field and name != "kind"
    ]
    assert undocumented == []
