"""``rl-datagen quality``: sources side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rl_datagen.cli.arguments import AsJson
from rl_datagen.cli.progress import show_progress


def quality(
    datasets: Annotated[
        list[Path], typer.Argument(help="Datasets, or folders of datasets.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the page, figures and tables.", show_default=False)
    ],
    task: Annotated[
        str | None, typer.Option(help="Only these tasks, such as 'libero_goal'.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare sources: length, no-ops, smoothness, consistency, success; one page with verdicts.

    Over the tasks that every source has, by the paper's measures.
    """
    with show_progress("reads what the datasets hold", quiet=as_json) as progress:
        from rl_datagen.report.comparison import compare
        from rl_datagen.report.comparison_report import check_folder, write_comparison

        check_folder(out)  # before the work
        comparison = compare(datasets, task, progress)
        progress.say("draws figures and the page")
        written = write_comparison(out, comparison)
    if as_json:
        print(json.dumps(written, indent=2))
        return
    table = Table("the paper says", "verdict", "we measure")
    for verdict in written["verdicts"]:
        table.add_row(verdict["claim"], verdict["outcome"], verdict["measured"])
    Console().print(table)
    if comparison.left_out:
        print(f"left out {', '.join(comparison.left_out)}: not every source has them")
    if names := [each["episode_id"] for each in written["outliers"]]:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        print(f"unusual episodes: {', '.join(names[:5])}{more}")
    Console(soft_wrap=True).print(f"page     {out / 'index.html'}", highlight=False)
