"""Options of what is rendered besides LIBERO's two images."""

from pathlib import Path
from typing import Annotated

import typer

from rl_datagen.config import load_config
from rl_datagen.config.views import AXES, MODALITIES, ViewsConfig

Modalities = Annotated[
    str,
    typer.Option(help=f"Of each camera also: {', '.join(MODALITIES)}.", show_default=False),
]
Cameras = Annotated[
    Path | None,
    typer.Option(help="YAML file of further cameras; docs/modalities.md.", show_default=False),
]
Vary = Annotated[
    str,
    typer.Option(help=f"Also copies in which these vary: {', '.join(AXES)}.", show_default=False),
]
Copies = Annotated[int, typer.Option(min=0, max=99, help="How many, with --vary.")]
CopySeed = Annotated[int, typer.Option("--seed", min=0, help="What the copies are drawn from.")]


def chosen_views(
    modalities: str, cameras: Path | None, vary: str, copies: int, seed: int
) -> ViewsConfig:
    """Returns what these options ask for.

    Raises:
        ConfigError: They contradict each other, or name what there is not.
    """
    given = [f"modalities=[{modalities}]", f"vary=[{vary}]", f"copies={copies}", f"seed={seed}"]
    return load_config([*([str(cameras)] if cameras else []), *given], model=ViewsConfig)
