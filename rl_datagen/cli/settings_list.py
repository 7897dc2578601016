"""``--settings`` of the commands that take settings, and docs/settings.md."""

import textwrap
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console

from rl_datagen.config import Config
from rl_datagen.config.reference import MODELS, Group, Setting, groups, model_of, own_groups

_WIDTH = 80  # where the output is not a terminal, and at most 100 on one
_HEAD = """# Settings

Every setting of every command, with its type, default and meaning. `rl-datagen config reference`
writes this page; `rl-datagen COMMAND --settings` prints the part of one command,
`rl-datagen config show --for COMMAND` what overlays and settings come to, and
`rl-datagen config schema --for COMMAND` a JSON Schema for editors.

A setting is given as `key=value`, whose value is YAML: `algo.lr=1e-4`,
`policy.unet_channels=[64,128]`, `sim.max_episode_steps=null`. `quickstart` starts from the overlay
of that name, whose values come before these defaults.
"""


def list_settings(command: str) -> Any:
    """Returns the option that prints all settings of a command."""

    def show(wanted: bool) -> None:
        if wanted:
            print("\n".join(as_text(command, min(Console().width, 100))))
            raise typer.Exit

    return typer.Option(
        "--settings",
        help="List all settings: key, type, default, meaning.",
        is_eager=True,
        callback=show,
    )


def as_text(command: str, width: int = _WIDTH) -> Iterator[str]:
    """Yields the lines of a command's settings."""
    for group in groups(model_of(command)):
        yield from _wrapped(f"{group.title}: {_plain(group.meaning)}".strip(": "), width, "")
        for setting in group.settings:
            default = "must be given" if setting.default is None else f"= {setting.default}"
            yield from _wrapped(f"  {setting.key} {default}   ({setting.type})", width, "      ")
            yield from _wrapped("      " + _plain(setting.meaning), width, "      ")
        yield ""
    yield from _wrapped(
        f"Give them as KEY=VALUE: rl-datagen {command} {_example(command)}", width, ""
    )


def as_markdown() -> Iterator[str]:
    """Yields the lines of docs/settings.md."""
    yield _HEAD
    shown: set[type] = set()
    for model in MODELS.values():
        if model in shown:
            continue
        shown.add(model)
        names = [f"`{name}`" for name, other in MODELS.items() if other is model]
        yield f"## {', '.join(names)}\n"
        if model is not Config and issubclass(model, Config):
            yield "All settings of `train`, and these:\n"
        for group in own_groups(model):
            yield from _table(group)


def _table(group: Group) -> Iterator[str]:
    if group.title:
        yield f"### {group.title}\n"
    if group.meaning:
        yield f"{_plain(group.meaning)}\n"
    yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
    for setting in group.settings:
        yield f"| {' | '.join(_cells(setting))} |"
    yield ""


def _cells(setting: Setting) -> list[str]:
    default = "(must be given)" if setting.default is None else f"`{setting.default}`"
    cells = [f"`{setting.key}`", setting.type, default, _plain(setting.meaning)]
    return [cell.replace("|", "\\|") for cell in cells]


def _example(command: str) -> str:
    settings = [s for group in groups(model_of(command)) for s in group.settings]
    return next(f"{s.key}=VALUE" for s in settings if s.key not in ("name", "policy"))


def _plain(meaning: str) -> str:
    return meaning.replace("``", "`").replace("\n\n", " ").replace("\n", " ")


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
