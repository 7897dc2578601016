import datetime
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_datagen.config import load_config
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.yaml_text import MAX_BYTES, parse_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    "value",
    [
        "2001-99-99",
        "0x_",
        "!!bool maybe",
        "!!int ''",
        "!!timestamp noon",
        "!!python/object/apply:os.getcwd []",
        "&a [*a]",
        "&a {b: *a}",
        "*missing",
        "[" * 5000,
        "0x" + "f" * 9000,
        "{[1]: 2}",
        "{1: 2}",
        "{null: 2}",
        "\udcff",
        "\0",
    ],
)
@pytest.mark.parametrize("key", ["seed", "policy", "policy.unet_channels", "algo.lr", "nothing"])
def test_a_value_that_is_none_is_one_sentence_with_its_key(key, value):
    with pytest.raises(ConfigError) as error:
        load_config([f"{key}={value}"])
    message = str(error.value)
    assert key in message
    assert len(message) < 1500
    assert "\n" not in message
    message.encode()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("seed: 2001-99-99", ("Setting seed='2001-99-99'", "valid integer")),
        ("seed: 0x_", ("0x_", "quotes")),
        ("policy: &a\n  policy: *a", ("an alias stands for what it is a part of, line 1",)),
        (BOMB, ("more than 100,000 values", "line")),
        ("seed: [", ("line 1, column 8",)),
        ("a: b\n\tc: d", ("line 2",)),
        ("x" * (MAX_BYTES + 1), ("too large",)),
        (b"\xff\xfe\xfd", ("is not YAML",)),
        (b"seed: \x80", ("is not YAML",)),
        ("- 1", ("'key: value' lines",)),
    ],
    ids=range(10),
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, text, parts):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    begin = time.monotonic()
    with pytest.raises(ConfigError) as error:
        load_config([str(path)])
    assert time.monotonic() - begin < 20
    for part in (*parts, "" if "Setting" in parts[0] else "mine.yaml"):
        assert part in str(error.value)


def test_aliases_that_stand_for_little_are_allowed(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("warm_start: &a {lr: 1e-4}\npolish: *a\nalgo:\n  <<: *a\n  num_epochs: 2\n")
    config = load_config([str(path)])
    assert config.warm_start.lr == config.polish.lr == config.algo.lr == 1e-4


def test_a_date_is_a_word_since_no_setting_is_one():
    assert load_config(["name=2026-11-28"]).name == "2026-11-28"
    assert yaml.safe_load("2026-11-28") == datetime.date(2026, 11, 28)  # others still read dates


def test_a_name_no_file_can_have_is_no_overlay():
    for name in ("\0.yaml", "x" * 5000 + ".yaml", "a/" * 3000 + "b.yaml", "\udcff"):
        with pytest.raises(ConfigError):
            load_config([name])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def _sentence(action):
    try:
        action()
    except ConfigError as error:
        return str(error)
    return None


_KEYS = st.sampled_from(
    ["seed", "name", "task", "policy", "policy.kind", "algo.lr", "policy.unet_channels", "x", "sim"]
)


@given(_KEYS, st.text() | _VALUES.map(lambda value: yaml.safe_dump(value)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_a_configuration_or_a_sentence(key, value):
    said = _sentence(lambda: load_config([f"{key}={value}"]))
    assert said is None or ("\n" not in said and len(said) < 4000)


@given(st.text(alphabet="&*![]{}:-,|>'\"\n\t #%@`ab01.x_"))
@settings(max_examples=300, deadline=None)
def test_any_text_is_yaml_or_a_sentence(text):
    said = _sentence(lambda: parse_yaml(text, "it"))
    assert said is None or (said.startswith("it ") and "\n" not in said)
