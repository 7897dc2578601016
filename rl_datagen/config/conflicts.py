"""Overlays that silently undo each other are refused.

Later arguments win, key by key: that can be read off the command line. What cannot be read off it
is refused, by two rules (docs/decisions/0016-overlays-that-undo.md):

1. Nothing that was given is lost. Another ``kind`` begins a section anew; what earlier arguments
   gave there and later ones did not repeat would be gone without having been named.
2. Two files do not turn what is made into something else. Of a few keys the value decides what the
   others mean; a later file may refine what an earlier one is, only ``key=value`` may replace it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from rl_datagen.core.errors import ConfigError, shown

_GONE = object()


def _same(value: Any) -> Any:
    return value


def _mode(encoder: Any) -> Any:
    return "state" if encoder == "state" else "pixel"


_DECISIVE: dict[str, Callable[[Any], Any]] = {
    "policy.kind": _same,
    "policy.encoder": _mode,
    "model.kind": _same,
    "model.policy.type": _same,
    "source": _same,
}
"""Keys whose value says what the others mean, with what two values must have in common."""


@dataclass(frozen=True)
class Given:
    """What one argument says.

    Attributes:
        name: The argument.
        is_file: Whether it is an overlay, not ``key=value``.
        leaves: Its values, by dotted path.
    """

    name: str
    is_file: bool
    leaves: Mapping[str, Any]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields path and value of all that is not a section."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_conflicts(given: Sequence[Given], values: Mapping[str, Any], config: BaseModel) -> None:
    """Raises if an argument silently undoes what another says.

    Args:
        given: The arguments, in their order.
        values: What they make together.
        config: The configuration that is made of it.

    Raises:
        ConfigError: It names both, what would be lost, and what to do.
    """
    for number, argument in enumerate(given):
        later = given[number + 1 :]
        if argument.is_file:
            _check_decisive(argument, later)
        _check_lost(argument, later, dict(leaves(values)), config)


def _check_decisive(first: Given, later: Sequence[Given]) -> None:
    for key, common in _DECISIVE.items():
        for number, second in enumerate(later):
            both = key in first.leaves and second.is_file and key in second.leaves
            if not both or any(_said(key, after) for after in later[number + 1 :]):
                continue
            before, after = first.leaves[key], second.leaves[key]
            if common(before) != common(after):
                raise ConfigError(
                    f"'{first.name}' and '{second.name}' are two different things: the first "
                    f"says {key}={shown(before)}, the second {key}={shown(after)}. Leave one of "
                    f"them out, or say which it is after both, with {key}={shown(before)} or "
                    f"{key}={shown(after)}."
                )


def _check_lost(
    first: Given, later: Sequence[Given], now: Mapping[str, Any], config: BaseModel
) -> None:
    lost: dict[str, Any] = {}
    for path, value in first.leaves.items():
        kept = path in now or any(_said(path, after) for after in later)
        if not kept and _plain(_effective(config, path)) != _plain(value):
            lost[path] = value
    for after in reversed(later):
        kinds = [key for key in after.leaves if key.endswith(".kind")]
        for section in (key.removesuffix(".kind") for key in kinds):
            if gone := {p: v for p, v in lost.items() if p.startswith(f"{section}.")}:
                raise ConfigError(_explain(first, after, section, gone, config))


def _explain(
    first: Given, second: Given, section: str, lost: Mapping[str, Any], config: BaseModel
) -> str:
    kind = f"{section}.kind={second.leaves[f'{section}.kind']}"
    pairs = [f"{path}={_written(value)}" for path, value in lost.items()]
    unknown = [path for path in lost if _effective(config, path) is _GONE]
    if unknown:
        advice = f"There is no {', '.join(unknown)} with {kind}: leave one of the two out."
    else:
        advice = (
            f"Give '{second.name}' first, or repeat after it what is to stay: {' '.join(pairs)}."
        )
    return (
        f"'{second.name}' would silently undo '{first.name}': {kind} begins the section "
        f"'{section}' anew, without {', '.join(pairs)}. {advice}"
    )


def _said(path: str, argument: Given) -> bool:
    """Whether an argument gives this path, or the section that it is in as a whole."""
    return any(path == given or path.startswith(f"{given}.") for given in argument.leaves)


def _effective(config: BaseModel, path: str) -> Any:
    value: Any = config
    for key in path.split("."):
        known = isinstance(value, BaseModel) and key in type(value).model_fields
        value = getattr(value, key) if known else _GONE
    return value


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value


def _written(value: Any) -> str:
    """As on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(str, cast('list[Any]', value)))}]"
    return {None: "null", True: "true", False: "false"}.get(value, shown(value))
