"""Where two configurations differ."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from rl_datagen.core.errors import quoted, shown


def differences(
    a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yields the dotted path and both values of each setting that differs.

    A setting that one side lacks has the value None there.
    """
    for key in dict.fromkeys([*a, *b]):
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            sections = cast("tuple[Mapping[str, Any], Mapping[str, Any]]", (left, right))
            yield from differences(*sections, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}", left, right


def difference_lines(
    there: Mapping[str, Any], here: Mapping[str, Any], free: Collection[str] = ()
) -> list[str]:
    """Returns what a message says of each setting that differs, save those that are free to."""
    return [
        f"{shown(name)} is {quoted(a)} there and {quoted(b)} here"
        for name, a, b in differences(there, here)
        if name not in free
    ]
