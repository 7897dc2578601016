import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.config import Config, load_config, parse_override
from rl_datagen.core.errors import ConfigError


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
        ("sim.backend=quick", ("sim.backend='quick'", "'exact', 'fast' or 'stock'")),
        ("policy.action_steps=99", ("action_steps=99", "action_horizon")),
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
