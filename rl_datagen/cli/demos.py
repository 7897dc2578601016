"""``rl-datagen demos``: human demonstrations."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rl_datagen.cli.arguments import WITH_SETTINGS, AsJson, no_options, settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import AmplifyConfig, ImportConfig, load_config

app = typer.Typer(help="Human demonstrations, and many made from them.", no_args_is_help=True)


@app.command("import", context_settings=WITH_SETTINGS)
def import_(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE|OVERLAY|KEY=VALUE",
            help="SOURCE is 'bundled' (one demonstration per task, the default), an HDF5 file of "
            "LIBERO's or a folder of them; settings follow, such as task=libero_goal.",
            show_default=False,
            callback=no_options,
        ),
    ] = None,
    as_json: AsJson = False,
    list_all: Annotated[bool, list_settings("demos import")] = False,
) -> None:
    """Replay human demonstrations in this simulator and store them as a dataset.

    Those that miss the goal are stored too, and marked. A second call continues the first.
    """
    source, settings = _split(arguments or [])
    config = load_config(settings, model=ImportConfig)
    with show_progress(quiet=as_json) as progress:
        from rl_datagen.jobs.import_demos import import_demonstrations

        report = import_demonstrations(config, source, progress)
    if as_json:
        print(json.dumps({**asdict(report), "dataset": str(report.dataset)}, indent=2))
        return
    table = Table("task", "demonstrations", "succeeded", "not imported, or not successful")
    for task in report.tasks:
        counts = (str(task.demonstrations), str(task.succeeded))
        table.add_row(task.task, *counts, Text("\n".join(task.problems)))
    console = Console(soft_wrap=True)
    console.print(table)
    for problem in report.problems:
        console.print(Text(problem))
    total = sum(task.demonstrations for task in report.tasks)
    succeeded = sum(task.succeeded for task in report.tasks)
    print(f"{succeeded} of {total} demonstrations succeed in this simulator: {report.dataset}")


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """Returns the source and the settings."""
    if arguments and "=" not in arguments[0] and not arguments[0].endswith((".yaml", ".yml")):
        return arguments[0], arguments[1:]
    return "bundled", arguments


@app.command("amplify", context_settings=WITH_SETTINGS)
def amplify_(
    overrides: Annotated[list[str] | None, settings("task=libero_goal num_episodes=10")] = None,
    list_all: Annotated[bool, list_settings("demos amplify")] = False,
) -> None:
    """Make many successful episodes of each task from its human demonstration.

    Tasks are worked on side by side, as Ray tasks. A second call continues the first.
    """
    config = load_config(overrides or [], model=AmplifyConfig)
    with show_progress() as progress:
        from rl_datagen.jobs.amplify import amplify

        path = amplify(config, progress)
    Console(soft_wrap=True).print(
        f"dataset  {path}\nlook     rl-datagen demos info {path}", highlight=False
    )


@app.command("info")
def info_(
    folder: Annotated[
        Path, typer.Argument(help="A dataset, or a folder of datasets.", show_default=True)
    ] = Path("outputs/demos"),
    paths: Annotated[
        Path | None, typer.Option(help="Folder for a picture of the hand's paths per task.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show counts, attempts, quality and spread of demonstrations, task by task."""
    with show_progress("reads what the datasets hold", quiet=as_json) as progress:
        from rl_datagen.report import demonstrations_info, find_datasets

        rows = list(demonstrations_info(find_datasets(folder), paths, progress))
    if as_json:
        print(json.dumps({"tasks": [asdict(row) for row in rows]}, indent=2))
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("task", "source"):
        table.add_column(name, no_wrap=True)
    for name in ("stored", "attempts", "length", "no-ops", "jerk", "starts", "spread"):
        table.add_column(name, justify="right")
    for row in rows:
        failed = f" ({row.episodes - row.successes} miss)" if row.successes < row.episodes else ""
        table.add_row(
            row.task,
            row.source,
            f"{row.episodes}{failed}",
            "" if row.attempts is None else str(row.attempts),
            f"{row.length_mean:.0f}",
            str(row.noops),
            "" if row.jerk_mean is None else f"{row.jerk_mean:.0f}",
            f"{row.shipped_init_states}+{row.drawn_init_states}",
            "" if row.path_spread is None else f"{100 * row.path_spread:.1f} cm",
        )
    Console().print(table)
    print(
        "length: env steps, mean. jerk: mean squared, (m/s^3)^2. starts: shipped + newly drawn\n"
        "init states. spread: of the hand's paths, at the same share of their length."
    )
