"""Arguments that several commands take."""

from typing import Annotated, Any

import typer


def settings(example: str) -> Any:
    """Returns the argument for overlays and settings, with an example for its help."""
    return typer.Argument(
        metavar="[OVERLAY.yaml | KEY=VALUE]...",
        help=f"YAML overlays and dotted settings such as {example}; later ones win.",
        show_default=False,
    )


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
