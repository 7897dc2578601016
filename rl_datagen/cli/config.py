"""``rl-datagen config``: settings and overlays."""

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from rl_datagen.cli.arguments import settings
from rl_datagen.config import Config, load_config
from rl_datagen.config.overlays import no_overlay, overlays, summary
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.storage import write_text

app = typer.Typer(help="Settings, and the overlays that come along.", no_args_is_help=True)

Settings = Annotated[list[str] | None, settings("algo.lr=1e-4")]


@app.command()
def show(settings: Settings = None) -> None:
    """Print the resolved configuration as YAML."""
    values = load_config(settings or []).model_dump(mode="json")
    print(without_credentials(yaml.safe_dump(values, sort_keys=False)))


@app.command()
def schema() -> None:
    """Print the configuration's JSON Schema: every setting, its type, range and meaning."""
    print(json.dumps(Config.model_json_schema(), indent=2))


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
