"""``rl-datagen paper``: the whole study."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rl_datagen.cli.arguments import settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import PaperConfig, load_config
from rl_datagen.study import estimate
from rl_datagen.study.configs import folder_of
from rl_datagen.study.graph import Hours, markers_of
from rl_datagen.study.jobs import make_jobs


def paper(
    overrides: Annotated[list[str] | None, settings("paper_tiny")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the jobs and what they take.")
    ] = False,
    list_all: Annotated[bool, list_settings("paper")] = False,
) -> None:
    """Run the study: experts of two algorithms, datasets, VLAs, evaluations, tables, figures.

    Every job is run once; a second call resumes where the first one stopped.
    """
    config = load_config(overrides or [], model=PaperConfig)
    if dry_run:
        _print_plan(config)
        return
    with show_progress() as progress:
        from rl_datagen.study.jobs import run_study

        folder = run_study(config, progress)
    Console(soft_wrap=True).print(
        f"tables   {folder / 'tables.md'}\nfigures  {folder / 'quality' / 'index.html'}",
        highlight=False,
    )


def _print_plan(config: PaperConfig) -> None:
    jobs = make_jobs(config)
    markers = markers_of(jobs, folder_of(config))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("job", "after", "runs on"):
        table.add_column(column, no_wrap=column == "job")
    for column in ("core hours", "GPU hours", "cost"):
        table.add_column(column, justify="right")
    for job in jobs:
        done = " (done)" if markers.is_done(job.name) else ""
        after = ", ".join(job.after) if len(job.after) < 4 else f"{len(job.after)} jobs"
        table.add_row(job.name + done, after, job.resources, *_cells(config, job.hours))
    table.add_section()
    total = estimate.total_hours(jobs)
    table.add_row(f"{len(jobs)} jobs", "", "", *_cells(config, total))
    terminal = Console(highlight=False)
    console = terminal if terminal.is_terminal else Console(highlight=False, width=160)
    console.print(table)
    costs = config.costs.model_dump()
    console.print(f"assumed: {', '.join(f'{key}={value}' for key, value in costs.items())}")
    if estimate.price(config, total) is None:
        console.print("cost: set costs.core_hour_price and costs.gpu_hour_price")


def _cells(config: PaperConfig, hours: Hours) -> tuple[str, str, str]:
    price = estimate.price(config, hours)
    gpu = f"{hours.gpu:.1f}" if hours.gpu else ""
    return f"{hours.core:.1f}", gpu, "" if price is None else f"{price:.2f}"
