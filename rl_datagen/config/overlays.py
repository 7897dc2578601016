"""The overlays of ``configs/``, which the package carries, by name: ``expert_state``, ``vla/pi0``.

``rl_datagen/configs`` is a link to the repository's ``configs``, so a checkout, an editable
installation and a wheel all have them at the same place, inside the package.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import takewhile
from pathlib import Path

from rl_datagen.core.errors import MachineError, did_you_mean, shown

SUFFIXES = (".yaml", ".yml")
"""How the path of a file ends; whatever does not is a name."""


def overlays() -> dict[str, Traversable]:
    """Returns the package's overlays by name: the path below ``configs/`` without its suffix.

    Raises:
        MachineError: They were left behind when the package was copied.
    """
    folder = files("rl_datagen") / "configs"
    if not folder.is_dir():
        raise MachineError(
            f"There are no overlays in {folder}, which links to the repository's configs/. Copy "
            "that folder too, beside the package, or install the package."
        )
    return dict(_walk(folder))


def summary(overlay: Traversable) -> str:
    """Returns the first sentence of the comment that an overlay begins with."""
    lines = overlay.read_text("utf-8").splitlines()
    prose = takewhile(lambda line: re.match(r"# \S", line), lines)  # commands are indented
    text = " ".join(line[2:] for line in prose)
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text, maxsplit=1)[0]


def no_overlay(name: str) -> str:
    """Returns what to say of a name that no overlay has."""
    return (
        f"There is no overlay '{shown(name)}'.{nearest_overlay(name)} `rl-datagen config list` "
        "lists them."
    )


def nearest_overlay(argument: str) -> str:
    """Returns ``" Did you mean 'x'?"`` for the overlay, or the file in reach, that may be meant."""
    known = list(overlays())
    path = Path(argument)
    word = path.stem if path.suffix in SUFFIXES else path.name
    # The right file in the wrong folder, such as a path into a checkout that is not here.
    same = [name for name in known if name.rpartition("/")[2] == word]
    if same:
        return f" Did you mean '{same[0]}'?"
    with suppress(OSError, ValueError):  # a name that no file can have
        known += map(str, path.parent.glob("*.y*ml"))
    return did_you_mean(argument, known)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml"), entry
