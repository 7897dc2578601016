"""Every setting of every command: its key, type, default and meaning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from rl_datagen.config.ablation import AblationConfig
from rl_datagen.config.campaign import CampaignConfig
from rl_datagen.config.evaluation import EvaluateConfig
from rl_datagen.config.jobs import AmplifyConfig, CollectionConfig, ImportConfig
from rl_datagen.config.paper import PaperConfig
from rl_datagen.config.schema import Config
from rl_datagen.config.types import MANY
from rl_datagen.config.vla import VlaConfig
from rl_datagen.core.errors import ConfigError, did_you_mean, shown

MODELS: dict[str, type[BaseModel]] = {
    "quickstart": Config,
    "train": Config,
    "demos import": ImportConfig,
    "demos amplify": AmplifyConfig,
    "campaign run": CampaignConfig,
    "collect": CollectionConfig,
    "vla train": VlaConfig,
    "evaluate": EvaluateConfig,
    "ablate": AblationConfig,
    "paper": PaperConfig,
}
"""What each command takes settings of, in the order of use."""

BASES = {"quickstart": "quickstart", "ablate": "ablation"}
"""The overlay that a command begins with, if it does."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: Its dotted path.
        type: What it may be, in words.
        default: As on the command line; None: it must be given.
        meaning: A sentence or more.
    """

    key: str
    type: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Group:
    """Settings that belong together.

    Attributes:
        title: The section's key, and the kind of it that has them; empty: those of no section.
        meaning: What they are about.
        settings: They.
    """

    title: str
    meaning: str
    settings: tuple[Setting, ...]


def model_of(command: str) -> type[BaseModel]:
    """Returns what a command takes settings of.

    Args:
        command: Such as ``"collect"`` or ``"vla train"``, with a hyphen in place of the space, or
            with its first word alone where that is enough.

    Raises:
        ConfigError: There is no such command, or it takes no settings.
    """
    words = " ".join(command.replace("-", " ").split())
    found = [name for name in MODELS if name == words] or [
        name for name in MODELS if name.split()[0] == words
    ]
    if len(found) != 1:
        guess = "" if found else did_you_mean(words, MODELS)
        raise ConfigError(
            f"'{shown(command)}' names no command with settings.{guess} Choose one of: "
            f"{', '.join(name.replace(' ', '-') for name in MODELS)}."
        )
    return MODELS[found[0]]


def groups(model: type[BaseModel]) -> list[Group]:
    """Returns all settings of a command."""
    return _Reader(model.model_json_schema()).read()


class _Reader:
    """Reads a JSON Schema, in which pydantic has put types, ranges, defaults and docstrings."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema, self._groups = schema, list[Group]()

    def read(self) -> list[Group]:
        self._section("", self._schema, {}, "")
        return self._groups

    def _section(
        self, key: str, schema: Mapping[str, Any], defaults: Mapping[str, Any], meaning: str
    ) -> None:
        settings = self._values(key, schema, defaults)
        if settings:
            self._groups.append(Group(key, meaning, tuple(settings)))
        self._sections_in(key, schema)

    def _values(
        self, key: str, schema: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> list[Setting]:
        """Returns the settings of a section that are not sections."""
        prefix, found = f"{key}." if key else "", list[Setting]()
        for name, field in schema.get("properties", {}).items():
            if name != "kind" and not self._alternatives(field):
                default = defaults.get(name, field.get("default", ...))
                meaning = " ".join(field.get("description", "").split())
                text = None if default is ... else written(default)
                found.append(Setting(prefix + name, self._type(field), text, meaning))
        return found

    def _sections_in(self, key: str, schema: Mapping[str, Any]) -> None:
        prefix = f"{key}." if key else ""
        for name, field in schema.get("properties", {}).items():
            if options := self._alternatives(field):
                self._one_of(prefix + name, field, options)

    def _one_of(
        self, key: str, field: Mapping[str, Any], options: Sequence[Mapping[str, Any]]
    ) -> None:
        defaults: dict[str, Any] = field.get("default") or {}
        if len(options) == 1:
            optional = {"type": "null"} in field.get("anyOf", ())
            left_out = f" `{key}=null` leaves it out." if optional else ""
            meaning = options[0].get("description", "") + left_out
            self._section(key, options[0], defaults, meaning)
            return
        kinds = [each["properties"]["kind"]["const"] for each in options]
        meaning = " ".join(field.get("description", "").split())
        chosen = defaults.get("kind", kinds[0])
        kind = Setting(f"{key}.kind", " | ".join(kinds), chosen, meaning)
        of_kind = [self._values(key, each, {}) for each in options]
        shared = [each for each in of_kind[0] if all(each in other for other in of_kind)]
        self._groups.append(Group(key, "", (kind, *shared)))
        for each, name, settings in zip(options, kinds, of_kind, strict=True):
            own = tuple(setting for setting in settings if setting not in shared)
            self._groups.append(Group(f"{key}, if {key}.kind={name}", each["description"], own))
            self._sections_in(key, each)

    def _alternatives(self, field: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the sections that a field may be; none: it is a value."""
        options = [field, *field.get("allOf", ()), *field.get("oneOf", ()), *field.get("anyOf", ())]
        found = [self._resolve(each["$ref"]) for each in options if "$ref" in each]
        return [each for each in found if each.get("type") == "object"]

    def _resolve(self, reference: str) -> dict[str, Any]:
        return self._schema["$defs"][reference.rpartition("/")[2]]

    def _type(self, field: Mapping[str, Any]) -> str:
        if "$ref" in field:
            properties = self._resolve(field["$ref"]).get("properties", {})
            return f"{{{', '.join(properties)}}}"
        if "enum" in field or "const" in field:
            return " | ".join(map(str, field.get("enum") or [field["const"]]))
        if options := field.get("anyOf"):
            return " | ".join(self._type(option) for option in options)
        if field.get("type") == "array":
            items: dict[str, Any] = field.get("items") or field["prefixItems"][0]
            return f"list of {self._type(items)}"
        return _TYPES[field["type"]] + _range(field)


_TYPES = {
    "integer": "int",
    "number": "float",
    "boolean": "true | false",
    "string": "text",
    "object": "mapping",
    "null": "null",
}


def written(value: Any) -> str:
    """Returns a value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in cast('list[Any]', value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: Mapping[str, Any]) -> str:
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high, below = field.get("maximum"), field.get("exclusiveMaximum")
    high = None if high is not None and high >= MANY else high
    below = None if below is not None and below >= MANY else below
    ends = [
        *([f">= {_number(low)}"] if low is not None else []),
        *([f"> {_number(above)}"] if above is not None else []),
        *([f"<= {_number(high)}"] if high is not None else []),
        *([f"< {_number(below)}"] if below is not None else []),
    ]
    return f" {', '.join(ends)}" if ends else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def own_groups(model: type[BaseModel]) -> Iterator[Group]:
    """Yields what a command has beside the settings of ``train``, or otherwise than it."""
    if model is Config or not issubclass(model, Config):
        yield from groups(model)
        return
    known = {setting for group in groups(Config) for setting in group.settings}
    for group in groups(model):
        if own := tuple(setting for setting in group.settings if setting not in known):
            yield Group(group.title, group.meaning, own)
