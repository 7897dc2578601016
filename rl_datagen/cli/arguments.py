"""Arguments that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rl_datagen.config.overlays import overlays
from rl_datagen.config.reference import MODELS, groups
from rl_datagen.core.errors import ConfigError, did_you_mean, shown

WITH_SETTINGS = {"ignore_unknown_options": True}
"""Context of commands with settings, which explain themselves what ``--task X`` should be."""


class TrackerName(StrEnum):
    """Where metrics can be logged: ``runtime.tracking.TRACKERS``."""

    MLFLOW = "mlflow"
    WANDB = "wandb"


Repo = Annotated[
    str, typer.Argument(metavar="OWNER/NAME", help="Repository of the Hugging Face Hub.")
]
Private = Annotated[bool, typer.Option("--private", help="If it is new, only you can see it.")]
PullOut = Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")]
Track = Annotated[
    list[TrackerName] | None,
    typer.Option(
        "--track",
        show_default=False,
        help="Log metrics there as well; may be given again. A campaign and a VLA have a run in "
        "MLflow in any case.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(example: str) -> Any:
    """Returns the argument for overlays and settings, with an example for its help."""
    return typer.Argument(
        metavar="OVERLAY|KEY=VALUE",
        help="Overlays, by name (`rl-datagen config list`) or by the path of a YAML file, and "
        f"dotted settings, such as {example}; later ones win. --settings lists all there are.",
        show_default=False,
        callback=no_options,
        autocompletion=_complete,
    )


def no_options(context: typer.Context, given: list[str] | None) -> list[str] | None:
    """Refuses what looks like an option and is none.

    Raises:
        ConfigError: It says how a setting is written.
    """
    words = given or []
    for number, word in enumerate(words):
        if word.startswith("-") and not context.resilient_parsing:
            raise ConfigError(_no_option(context, word, words[number + 1 : number + 2]))
    return given


def _no_option(context: typer.Context, word: str, following: list[str]) -> str:
    known = [name for parameter in context.command.params for name in parameter.opts]
    name, equals, value = word.lstrip("-").partition("=")
    key = name.replace("-", "_")
    keys = {
        setting.key for model in MODELS.values() for g in groups(model) for setting in g.settings
    }
    if key in keys:
        value = value if equals else next(iter(following), "VALUE")
        guess = f" Settings are written without dashes: {key}={shown(value)}."
    else:
        guess = did_you_mean(word, [name for name in known if name.startswith("-")])
    return (
        f"There is no option '{shown(word)}'.{guess} `{context.command_path} --help` lists the "
        "options, `--settings` in its place the settings."
    )


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the overlays and the keys of settings that begin so."""
    command = " ".join(context.command_path.split()[1:])
    keys = [f"{s.key}=" for g in groups(MODELS.get(command, MODELS["train"])) for s in g.settings]
    words = dict.fromkeys((*overlays(), *keys))  # two kinds may have one key
    return [word for word in words if word.startswith(incomplete)]
