"""What a task's things are called in a sentence, and what it is called to move their parts.

Names are LIBERO's with its numbers and underscores taken away: ``akita_black_bowl_1`` is "akita
black bowl" (with its number where the scene has two), ``wooden_cabinet_1_top_region`` "top drawer
of the wooden cabinet".
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

_ARENA = re.compile(r"(.*?table|floor)_(.*)")
_DRAWER = re.compile(r"(top|middle|bottom)_(level|region)")
_VERBS = (
    ("default_open_ranges", "default_close_ranges", "open", "close"),
    ("default_turnon_ranges", "default_turnoff_ranges", "turn on", "turn off"),
)


@dataclass(frozen=True)
class Words:
    """What is said of a scene's things.

    Attributes:
        names: Words of each object, fixture, moving part and region, by LIBERO's name.
        verbs: Of each moving part, what it is called to lower its joint's position, and to raise
            it.
    """

    names: Mapping[str, str]
    verbs: Mapping[str, tuple[str, str]]

    def move(self, part: str, change: float) -> str:
        """Returns what it is called to change a moving part's joint position by so much."""
        return f"{self.verbs.get(part, ('move', 'move'))[change > 0]} the {self.names[part]}"


def find_words(env: Any) -> Words:
    """Returns the words of a task's things."""
    things = {**env.objects_dict, **env.fixtures_dict}
    count = Counter(map(_kind, things))
    names = {name: _kind(name) if count[_kind(name)] == 1 else _plain(name) for name in things}
    verbs: dict[str, tuple[str, str]] = {}
    for name, thing in things.items():
        for joint in [each for each in thing.joints if each.startswith(f"{name}_")]:
            if (found := _verbs(getattr(thing, "object_properties", {}))) is not None:
                verbs[joint] = found
            names.setdefault(joint, _of(joint, name, names[name]))
    for region in env.object_sites_dict:
        owner = max((n for n in things if region.startswith(f"{n}_")), key=len, default=None)
        names[region] = _of(region, owner, names[owner]) if owner else _place(region)
    return Words(names, verbs)


def _kind(name: str) -> str:
    return _plain(re.sub(r"_\d+$", "", name))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _of(name: str, owner: str, words: str) -> str:
    """Returns the words of an owner's joint or region."""
    rest = name.removeprefix(f"{owner}_")
    if drawer := _DRAWER.fullmatch(rest):
        return f"{drawer[1]} {'drawer' if 'cabinet' in owner else 'region'} of the {words}"
    if not rest.endswith(("_region", "_side")) or rest == "contain_region":
        return words  # its only door or knob, or its inside
    return f"{_plain(rest).replace('contain region', 'compartment')} of the {words}"


def _place(region: str) -> str:
    """Returns the words of a region of a table or the floor."""
    found = _ARENA.fullmatch(region)
    return f"{_plain(found[2])} of the {_plain(found[1])}" if found else _plain(region)


def _verbs(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns what lowering and raising a joint is called, by LIBERO's ranges of its position."""
    ranges: Mapping[str, Iterable[float]] = properties.get("articulation", {})
    for high, low, do, undo in _VERBS:
        if ranges.get(high) and ranges.get(low):
            return (undo, do) if mean(ranges[high]) > mean(ranges[low]) else (do, undo)
    return None
