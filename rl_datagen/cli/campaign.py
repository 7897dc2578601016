"""``rl-datagen campaign``: experts for many tasks."""

import json
import time
from collections import Counter
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console

from rl_datagen.cli.arguments import WITH_SETTINGS, AsJson, Track, settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import CampaignConfig, load_config
from rl_datagen.core.errors import UserError
from rl_datagen.core.paths import without_credentials

app = typer.Typer(help="Experts for many tasks, under Ray Tune.", no_args_is_help=True)

Settings = Annotated[list[str] | None, settings("task=libero_goal")]
Name = Annotated[
    str, typer.Argument(metavar="NAME|FOLDER", help="A campaign's name, folder or storage URI.")
]


@app.command(context_settings=WITH_SETTINGS)
def run(
    settings: Settings = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the tasks again that have failed.")
    ] = False,
    track: Track = None,
    list_all: Annotated[bool, list_settings("campaign run")] = False,
) -> None:
    """Make the experts of all selected tasks.

    A second call with the same name resumes: experts that exist are left alone, and interrupted
    trials continue where they stopped.
    """
    config = load_config(settings or [], model=CampaignConfig)
    with show_progress("loads Ray") as progress:
        # Imports Ray: bad settings and --help should not wait for that.
        from rl_datagen.campaign.run import run_campaign

        states = run_campaign(
            config, retry_failed=retry_failed, progress=progress, track=track or ()
        )
    counts = Counter(state.state if state else "pending" for state in states.values())
    Console(soft_wrap=True).print(
        f"campaign {without_credentials(config.storage)}\n"
        f"trials   {', '.join(f'{number} {state}' for state, number in counts.most_common())}",
        highlight=False,
    )
    failed = [f"{s.task} ({s.error})" for s in states.values() if s and s.state == "failed"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(states)} tasks failed: {'; '.join(failed)}. The others are "
            "not affected. Run the same command with --retry-failed to try these again."
        )
    if counts["pending"] + counts["running"]:
        raise UserError("The campaign was interrupted. The same command resumes.")


@app.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """Show how far a campaign is, what has failed, and what runs."""
    from rl_datagen.campaign.read import read_campaign

    campaign = read_campaign(name)
    if as_json:
        print(json.dumps(campaign.as_json(), indent=2))
        return
    from rl_datagen.cli.campaign_status import print_status

    print_status(campaign)


@app.command()
def board(
    name: Name,
    every: Annotated[
        float | None,
        typer.Option(min=1, help="Write it again every so many seconds, until Ctrl-C."),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures", help="First draw the scenes that have no picture yet, seconds each."
        ),
    ] = False,
) -> None:
    """Write a campaign's page, board/index.html, which a browser reloads by itself."""
    from rl_datagen.campaign.board import write_board

    if pictures:
        with show_progress("loads LIBERO") as progress:
            from rl_datagen.campaign.pictures import draw_pictures

            draw_pictures(name, progress)
    page = write_board(name, every=every or 30)
    Console(soft_wrap=True).print(f"board    {page}", highlight=False)
    with suppress(KeyboardInterrupt):
        while every:
            time.sleep(every)
            write_board(name, every=every)
