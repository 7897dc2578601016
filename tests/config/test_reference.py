"""What is said of settings is what they are."""

import json

import jsonschema
import pytest
import yaml

from rl_datagen.config import EvaluateConfig, VlaConfig, load_config
from rl_datagen.config.reference import MODELS, groups, model_of, own_groups
from rl_datagen.core.errors import ConfigError

REQUIRED = {VlaConfig: ["datasets=a"], EvaluateConfig: ["policy=a"]}


def settings_of(command):
    return [setting for group in groups(model_of(command)) for setting in group.settings]


@pytest.mark.parametrize("command", MODELS)
def test_every_setting_has_a_type_and_a_meaning(command):
    for setting in settings_of(command):
        assert setting.type, setting
        assert setting.meaning.endswith("."), setting


@pytest.mark.parametrize("command", MODELS)
def test_every_setting_may_be_given_as_its_default_is_written(command):
    required = REQUIRED.get(model_of(command), [])
    if command == "collect":
        required = ["source=human"]
    base = load_config(required, model=model_of(command))
    for setting in settings_of(command):
        if setting.default is None or setting.key.startswith(("policy.", "model.")):
            continue  # of a kind
        if setting.key == "source":
            continue
        again = load_config([*required, f"{setting.key}={setting.default}"], model=type(base))
        assert again == base, setting


def test_both_kinds_of_policy_are_listed_once():
    keys = [setting.key for setting in settings_of("train")]
    assert len(keys) == len(set(keys))
    assert {"policy.kind", "policy.encoder", "policy.init_std", "policy.sampler"} <= set(keys)


def test_ranges_and_words_are_told():
    found = {setting.key: setting for setting in settings_of("paper")}
    assert found["algo.mode"].type == "sync | streaming"
    assert found["algo.gamma"].type == "float >= 0, <= 1"
    assert found["sim.max_episode_steps"].type == "int >= 1 | null"
    assert found["policy.unet_channels"].default == "[32, 64]"
    assert {setting.key for setting in settings_of("vla train")} >= {"datasets", "model.images"}


def test_what_campaign_adds_to_train():
    own = [setting.key for group in own_groups(model_of("campaign")) for setting in group.settings]
    assert own[:2] == ["name", "task"]
    assert all(key.startswith("campaign.") for key in own[2:])


@pytest.mark.parametrize("name", ["vla train", "vla-train", "vla"])
def test_a_command_has_several_names(name):
    assert model_of(name) is VlaConfig


@pytest.mark.parametrize(
    ("name", "message"), [("colect", "Did you mean 'collect'"), ("demos", "demos-import")]
)
def test_unknown_commands_are_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        model_of(name)


@pytest.mark.parametrize("command", MODELS)
def test_a_resolved_configuration_fits_its_schema(command):
    required = REQUIRED.get(model_of(command), [])
    if command == "collect":
        required = ["source=human"]
    model = model_of(command)
    values = load_config(required, model=model).model_dump(mode="json")
    schema = json.loads(json.dumps(model.model_json_schema()))
    jsonschema.validate(yaml.safe_load(yaml.safe_dump(values)), schema)
