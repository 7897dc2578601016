"""Defaults, then YAML overlays, then ``key=value``, applied left to right."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from rl_datagen.config.schema import Config
from rl_datagen.core.errors import ConfigError, did_you_mean


def load_config(arguments: Sequence[str] = (), *, base: str | Path | None = None) -> Config:
    """Returns the configuration that overlays and overrides describe.

    Args:
        arguments: Paths of YAML files and dotted ``key=value`` overrides; later ones win.
        base: YAML file applied before all of them.

    Raises:
        ConfigError: A file cannot be read, or a setting is unknown, of the wrong type, out of
            range, or contradicts another. The message names path, value and what is allowed.
    """
    values: dict[str, Any] = {}
    for argument in [*([str(base)] if base else []), *arguments]:
        _merge(values, parse_override(argument) if "=" in argument else _read(Path(argument)))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def parse_override(text: str) -> dict[str, Any]:
    """Returns ``{"algo": {"lr": 1e-4}}`` for ``"algo.lr=1e-4"``; the value is YAML.

    Raises:
        ConfigError: The text is no ``key=value``.
    """
    path, _, raw = text.partition("=")
    keys = path.strip().split(".")
    if not all(key.isidentifier() for key in keys):
        raise ConfigError(f"'{text}' is not a setting. Write key=value, such as algo.lr=1e-4.")
    try:
        value = _number(yaml.safe_load(raw))
    except yaml.YAMLError:
        raise ConfigError(f"'{text}': the value '{raw}' is not YAML. Quote it.") from None
    for key in reversed(keys):
        value = {key: value}
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        names = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(
            f"'{path}' is neither a readable YAML file nor a key=value setting."
            f"{did_you_mean(str(path), names)} Give the path of an overlay such as "
            "configs/quickstart.yaml, or a setting such as task=libero_goal/3."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not YAML: {str(error).splitlines()[0]}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"'{path}' must hold 'key: value' lines, not a {type(values).__name__}.")
    return _numbers(cast("dict[str, Any]", values))


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Merges sections key by key."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], cast("dict[str, Any]", value))
        else:
            into[key] = value


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


def _explain(error: ValidationError) -> str:
    return " ".join(_sentence(item) for item in error.errors(include_url=False))


def _sentence(item: Any) -> str:
    path = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ").rstrip(".")
    if item["type"] == "extra_forbidden":
        known = list(_fields(Config))
        siblings = [name for name in known if name.rpartition(".")[0] == path.rpartition(".")[0]]
        guess = did_you_mean(path, siblings) or did_you_mean(path, known)
        return f"Unknown setting '{path}'.{guess} Allowed here: {', '.join(siblings)}."
    if not path:
        return f"{message}."
    value = item["input"]
    shown = "" if isinstance(value, dict) else f"={value!r}"
    return f"Setting {path}{shown}: {message[:1].lower()}{message[1:]}."


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _fields(kind, f"{prefix}{name}.")
