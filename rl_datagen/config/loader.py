"""Defaults, then YAML overlays, then ``key=value``, applied left to right."""

import re
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from rl_datagen.config.conflicts import Given, check_conflicts, leaves
from rl_datagen.config.overlays import SUFFIXES, nearest_overlay, no_overlay, overlays
from rl_datagen.config.policy import DiffusionConfig, GaussianConfig
from rl_datagen.config.schema import Config
from rl_datagen.config.vla import LerobotConfig, SmallVlaConfig
from rl_datagen.core.errors import ConfigError, did_you_mean, shown
from rl_datagen.core.yaml_text import MAX_BYTES, parse_yaml

_ALTERNATIVES = (DiffusionConfig, GaussianConfig, SmallVlaConfig, LerobotConfig)
_MAX_DEPTH = 8  # of a dotted path
_KINDS = [section.model_fields["kind"].default for section in _ALTERNATIVES]

Model = TypeVar("Model", bound=BaseModel)


def load_config(
    arguments: Sequence[str] = (),
    *,
    base: str | Path | None = None,
    model: type[Model] = Config,  # pyright: ignore[reportArgumentType]
) -> Model:
    """Returns the configuration that overlays and overrides describe.

    Args:
        arguments: Overlays, by name or by the path of a YAML file, and dotted ``key=value``
            overrides; later ones win.
        base: Overlay applied before all of them.
        model: What is configured: one task's chain, or another job.

    Raises:
        ConfigError: There is no such overlay, a file cannot be read, or a setting is unknown, of
            the wrong type, out of range, or contradicts another, or an argument silently undoes
            another. The message names path, value and what is allowed.
    """
    values, given = _default_kinds(model), list[Given]()
    for argument in [*([str(base)] if base else []), *arguments]:
        is_file = "=" not in argument
        said = _read(argument) if is_file else parse_override(argument)
        given.append(Given(argument, is_file, dict(leaves(said))))
        _merge(values, said)
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, model)) from None
    check_conflicts(given, values, config)
    return config


def stored_config(text: str | bytes, name: str, model: type[Model], advice: str) -> Model:
    """Returns the configuration that an earlier call has stored as YAML.

    Args:
        text: The YAML.
        name: Where it is from, for the message.
        model: What it configures.
        advice: What to do if it cannot be used, as whole sentences.

    Raises:
        ConfigError: It is damaged, or has settings that this version does not know or allow.
    """
    try:
        return model.model_validate(parse_yaml(text, f"'{name}'"))
    except ValidationError as error:
        reason = _explain(error, model)
        raise ConfigError(f"'{name}' cannot be used: {reason} {advice}") from None
    except ConfigError as error:
        raise ConfigError(f"{error} {advice}") from None


def with_overlay(config: Model, overlay: str | None) -> Model:
    """Returns a configuration with one more overlay on top.

    Args:
        config: As it is without.
        overlay: By name or by the path of a YAML file; None changes nothing.

    Raises:
        ConfigError: As for ``load_config``.
    """
    if overlay is None:
        return config
    values, model = config.model_dump(), type(config)
    _merge(values, _read(overlay))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"With '{overlay}': {_explain(error, model)}") from None


def parse_override(text: str) -> dict[str, Any]:
    """Returns ``{"algo": {"lr": 1e-4}}`` for ``"algo.lr=1e-4"``; the value is YAML.

    Raises:
        ConfigError: The text is not a ``key=value``.
    """
    path, _, raw = text.partition("=")
    keys = path.strip().split(".")
    if len(keys) > _MAX_DEPTH or not all(key.isidentifier() for key in keys):
        raise ConfigError(
            f"'{shown(text)}' is not a setting. Write key=value, such as algo.lr=1e-4."
        )
    value = _number(parse_yaml(raw, f"The value of '{shown(text)}'"))
    for key in reversed(keys):
        value = {key: value}
    return value


def _find(overlay: str) -> Traversable:
    """Only what ends like a file is a path: a file nearby never stands in for a name."""
    if overlay.endswith(SUFFIXES):
        return Path(overlay)
    known = overlays()
    if overlay not in known:
        raise ConfigError(
            f"{no_overlay(overlay)} The path of a file ends in .yaml or .yml; a setting is "
            "key=value, such as task=libero_goal/3."
        )
    return known[overlay]


def _read(overlay: str) -> dict[str, Any]:
    found = _find(overlay)
    try:
        with found.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # the latter for a name that no file can have
        raise ConfigError(
            f"'{shown(overlay)}' is neither a readable YAML file nor a key=value setting."
            f"{nearest_overlay(overlay)} Give an overlay by its name, as `rl-datagen config list` "
            "prints it, or by its path, or a setting such as task=libero_goal/3."
        ) from None
    values = parse_yaml(content, f"'{overlay}'")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"'{overlay}' must hold 'key: value' lines, not a {type(values).__name__}."
        )
    return _numbers(cast("dict[str, Any]", values))


def _default_kinds(model: type[BaseModel]) -> dict[str, Any]:
    """The ``kind`` of each section that has alternatives."""
    kinds: dict[str, Any] = {}
    for key, section in model.model_construct():  # a job may have no defaults that agree
        if isinstance(section, BaseModel) and "kind" in type(section).model_fields:
            kinds[key] = {"kind": section.model_dump()["kind"]}
    return kinds


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Merges sections key by key; a section of another ``kind`` is replaced."""
    for key, value in values.items():
        if not isinstance(value, dict) or not isinstance(into.get(key), dict):
            into[key] = value
            continue
        section, changes = into[key], cast("dict[str, Any]", value)
        if changes.get("kind", section.get("kind")) != section.get("kind"):
            section.clear()
        _merge(section, changes)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in cast("dict[str, Any]", value).items()}
    return _number(value)


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as text; people mean a number."""
    if isinstance(value, str) and value[:1] in "+-.0123456789":
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    return " ".join(_sentence(item, model) for item in error.errors(include_url=False))


def _sentence(item: Any, model: type[BaseModel]) -> str:
    path = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ").rstrip(".")
    if item["type"] == "extra_forbidden":
        known = list(_fields(model))
        section = path.rpartition(".")[0]
        siblings = [_plain(name) for name in known if name.rpartition(".")[0] == section]
        path = _plain(path)
        guess = did_you_mean(path, siblings) or did_you_mean(path, {_plain(name) for name in known})
        return f"Unknown setting '{shown(path)}'.{guess} Allowed here: {', '.join(siblings)}."
    path = _plain(path)
    if not path:
        return f"{message}."
    value = item["input"]
    if item["type"] in _CHOICES:
        return _no_choice(path, item)
    given = repr(value) if isinstance(value, str) else value
    given = "" if isinstance(value, dict) else f"={shown(given)}"
    return f"Setting {path}{given}: {message[:1].lower()}{message[1:]}."


_CHOICES = {"literal_error": "expected", "union_tag_invalid": "expected_tags"}
"""Errors of a word that is none of those allowed, and where pydantic says which are."""


def _no_choice(path: str, item: Any) -> str:
    context = item["ctx"]
    allowed = re.findall(r"'([^']*)'", context[_CHOICES[item["type"]]])
    if item["type"] == "union_tag_invalid":
        path, value = f"{path}.kind", context["tag"]
    else:
        value = item["input"]
    guess = did_you_mean(value, allowed) if isinstance(value, str) else ""
    words = " or ".join(f"'{word}'" for word in allowed)
    given = repr(value) if isinstance(value, str) else value
    return f"Setting {path}={shown(given)}: it should be {words}.{guess}"


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting's path; as in pydantic's errors, alternatives are told apart by their kind."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        types = (field.annotation, *get_args(field.annotation))
        sections = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]
        for section in sections:
            kind = f"{section.model_fields['kind'].default}." if len(sections) > 1 else ""
            yield from _fields(section, f"{prefix}{name}.{kind}")


def _plain(path: str) -> str:
    """The path as people write it."""
    return ".".join(part for part in path.split(".") if part not in _KINDS)
