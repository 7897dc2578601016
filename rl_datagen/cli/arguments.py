"""Arguments that several commands take."""

from typing import Annotated, Any

import typer


def settings(example: str) -> Any:
    """Returns the argument for overlays and settings, with an example for its help."""
    return typer.Argument(
        metavar="[OVERLAY | KEY=VALUE]...",
        help="Overlays, by name (`rl-datagen config list`) or by the path of a YAML file, and "
        f"dotted settings, such as {example}; later ones win.",
        show_default=False,
    )


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
