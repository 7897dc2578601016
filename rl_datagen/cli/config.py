"""``rl-datagen config``: settings and overlays."""

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from rl_datagen.cli.arguments import WITH_SETTINGS, settings
from rl_datagen.cli.settings_list import as_markdown
from rl_datagen.config import load_config
from rl_datagen.config.overlays import no_overlay, overlays, summary
from rl_datagen.config.reference import BASES, MODELS, model_of
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.storage import write_text

app = typer.Typer(help="Settings, and the overlays that come along.", no_args_is_help=True)

Settings = Annotated[list[str] | None, settings("algo.lr=1e-4")]
For = Annotated[
    str,
    typer.Option(
        "--for",
        metavar="COMMAND",
        help="The command whose settings they are: "
        f"{', '.join(name.replace(' ', '-') for name in MODELS)}.",
    ),
]


@app.command(context_settings=WITH_SETTINGS)
def show(settings: Settings = None, command: For = "train") -> None:
    """Print as YAML what overlays and settings come to, for one of the commands."""
    base = BASES.get(command)
    config = load_config(settings or [], base=base, model=model_of(command))
    print(without_credentials(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)))


@app.command()
def schema(command: For = "train") -> None:
    """Print a command's JSON Schema, for editors: every setting, its type, range and meaning."""
    print(json.dumps(model_of(command).model_json_schema(), indent=2))


@app.command()
def reference() -> None:
    """Print every setting of every command as Markdown: docs/settings.md."""
    print("\n".join(as_markdown()))


@app.command("list")
def list_() -> None:
    """List the overlays that come along: name and purpose."""
    known = overlays()
    width = max(map(len, known))
    for name, overlay in known.items():
        print(f"{name:{width}}  {summary(overlay)}")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="As `config list` prints it.")],
    folder: Annotated[Path, typer.Argument(help="Where to.")] = Path(),
) -> None:
    """Copy an overlay, to change it and give its path in place of the name."""
    known = overlays()
    if name not in known:
        raise ConfigError(no_overlay(name))
    path = folder / known[name].name
    if path.exists():
        raise UserError(
            f"'{path}' exists already. Nothing was written. Choose another folder, or delete "
            f"{path} first to replace it."
        )
    write_text(path, known[name].read_text("utf-8"))
    print(f"overlay  {path}")
