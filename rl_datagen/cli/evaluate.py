"""``rl-datagen evaluate`` and ``tables``: success on LIBERO's benchmark."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rl_datagen.cli.arguments import settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import EvaluateConfig, load_config


def evaluate(
    policy: Annotated[
        str,
        typer.Argument(help="Folder of a VLA or an expert, or a policy server, ws://host:port."),
    ],
    overrides: Annotated[
        list[str] | None, settings("task=libero_goal num_episodes=20 name=goal")
    ] = None,
    list_all: Annotated[bool, list_settings("evaluate")] = False,
) -> None:
    """Run a policy from LIBERO's shipped init states, with openpi's time limits.

    Tasks are worked on side by side, as Ray tasks. A second call runs only what is missing.
    """
    given = [*(overrides or []), f"policy={json.dumps(policy)}"]
    config = load_config(given, model=EvaluateConfig)
    with show_progress() as progress:
        # These import Ray and LIBERO: bad settings and --help should not wait for that.
        from rl_datagen.data.results import read_results, summaries
        from rl_datagen.jobs.evaluate import evaluate_tasks

        folder = evaluate_tasks(config, progress)
    table = Table("", "episodes", "success", "95 %" if config.confidence == 0.95 else "interval")
    table.add_column("env steps, mean")
    for name, found in summaries(read_results(folder), config.confidence).items():
        table.add_row(
            name,
            str(found.num_episodes),
            f"{found.success_rate:.1%}",
            f"{found.success_ci_low:.1%} to {found.success_ci_high:.1%}",
            f"{found.episode_len_mean:.0f}",
        )
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"results  {folder}", highlight=False)


def tables(
    evaluations: Annotated[
        list[Path], typer.Argument(help="Folders of evaluations.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = Path("outputs/tables"),
) -> None:
    """Write Tables I and II with the paper's numbers beside ours: Markdown, LaTeX, CSV.

    Perturbed tasks make a third table. Sources are also compared on the same init states, by
    McNemar's test.
    """
    from rl_datagen.report.tables import make_tables
    from rl_datagen.report.tables_report import write_tables

    written, *_ = write_tables(out, make_tables(evaluations))
    print(written.read_text("utf-8"))
    print(f"tables   {out}")
