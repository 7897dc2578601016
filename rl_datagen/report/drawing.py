"""Figures for a page and for files.

On a page, a figure is an SVG element that takes the page's text colour, so that it is at home in
light and dark. Each is about 370 units wide: its 10-unit letters stay readable on a telephone.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_datagen.core.storage import atomic_path, write_text

COLORS = {
    "human": "#e8772e",
    "amplified": "#8a94a6",
    "gaussian_rl": "#2ea36a",
    "gaussian_rl_sampled": "#14b8a6",
    "diffusion_rl": "#3b82f6",
    "recovery": "#a855f7",
    "pattern": "#d4a017",
}
ACCENT = COLORS["diffusion_rl"]
QUIET = COLORS["amplified"]
INK = "#010203"  # nearly black; on a page, it becomes the page's text colour
WIDTH = 5.2  # inches at 72 units

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure and what it shows.

    Attributes:
        name: Of its files, and of its ids on a page.
        label: Says what it shows to those who cannot see it.
        figure: Drawn.
        columns: The numbers drawn, one list per column of the CSV.
    """

    name: str
    label: str
    figure: Figure
    columns: Mapping[str, Sequence[object]] = field(default_factory=dict[str, Sequence[object]])

    def svg(self) -> str:
        """Returns an SVG element that scales with its page and needs nothing else."""
        text = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', self._svg)
        text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
        text = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", text)
        text = text.replace("<svg", f'<svg role="img" aria-label="{self.label}"', 1)
        return text.replace(INK, "currentColor")

    def save(self, folder: Path) -> None:
        """Writes ``<name>.svg``, ``<name>.png`` and ``<name>.csv``."""
        on_white = self._svg.replace("<svg", '<svg style="background: #ffffff"', 1)
        write_text(folder / f"{self.name}.svg", on_white)
        with atomic_path(folder / f"{self.name}.png") as temporary, mpl.rc_context(STYLE):
            self.figure.savefig(temporary, format="png", facecolor="white", dpi=160)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*self.columns.values(), strict=True))
        write_text(folder / f"{self.name}.csv", text.getvalue())

    @cached_property
    def _svg(self) -> str:
        buffer = io.StringIO()
        # Same content, same bytes; distinct ids.
        with mpl.rc_context({**STYLE, "svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        self.figure.set_layout_engine("none")  # what is laid out stays, which saves half the time
        text = buffer.getvalue()
        return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)


def new_figure(
    height: float, rows: int, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Returns an empty figure of the page's width and its axes, row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)
