"""A campaign as tables of at most 80 columns."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rl_datagen.campaign.state import TrialState
from rl_datagen.campaign.status import (
    Campaign,
    Summary,
    error_line,
    money,
    percent,
    short,
    success,
)
from rl_datagen.core.durations import duration
from rl_datagen.core.intervals import SuccessRate
from rl_datagen.core.paths import without_credentials

_WIDTH = 80  # where the output is not a terminal


def print_status(campaign: Campaign) -> None:
    """Prints suites and totals, then the trials that need attention, then the running ones."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    total = campaign.total
    console.print(
        Text(f"campaign {campaign.name}  {without_credentials(campaign.folder)}"), soft_wrap=True
    )
    console.print(_suites(campaign))
    cost = "" if total.cost is None else f", cost about {money(total.cost)}"
    left = f", about {duration(total.seconds_left)} left" if total.seconds_left else ""
    console.print(f"retries {total.retries}, {total.hours:,.1f} trial hours{cost}{left}")
    if campaign.of("running", "pending") and campaign.silence is not None:
        console.print(f"last news {duration(campaign.silence)} ago")
    if campaign.waiting and campaign.of("pending"):
        console.print(Text(campaign.waiting, style="bold yellow"), soft_wrap=True)
    for title, address in campaign.links:
        console.print(Text(f"{title}: {address}"), soft_wrap=True)
    if failed := campaign.of("failed"):
        console.print("\n[bold red]failed[/]")
        for trial in failed:
            console.print(Text(f"{trial.task}: {error_line(trial)}"))
    if running := campaign.of("running"):
        console.print()
        console.print(_running(campaign, running))


def _suites(campaign: Campaign) -> Table:
    total, table = campaign.total, _table("suite")
    states = {"done": "finished", "run": "running", "wait": "pending", "err": "failed"}
    if total.counts["stopped"]:
        states["stop"] = "stopped"
    headings = (*states, "before", "after", "steps", "/s", "h", *_cost(total, "cost"), "left")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for suite in (*campaign.suites, total):
        table.add_row(
            suite.name.removeprefix("libero_"),
            *(str(suite.counts[state] or "-") for state in states.values()),
            _percent(campaign, suite.before),
            _percent(campaign, suite.after),
            short(suite.env_steps),
            short(suite.env_steps_per_second),
            f"{suite.hours:.1f}" if suite.hours < 9.95 else short(suite.hours),
            *_cost(suite, money(suite.cost)),
            _tight(suite.seconds_left or None),
            style="bold" if suite is total else "",
        )
    return table


def _running(campaign: Campaign, trials: Iterable[TrialState]) -> Table:
    table = _table("running", "stage")
    for heading in ("done", "before", "now", "steps/s", "left", "seen"):
        table.add_column(heading, justify="right", no_wrap=True)
    for trial in trials:
        latest = (trial.evaluated or trial.sampled)[-1:]
        table.add_row(
            trial.task,
            (trial.stage or "").replace("_", " "),
            f"{trial.iteration}/{trial.num_iterations}",
            _percent(campaign, success(trial, "before")),
            f"{latest[0][1]:.0%}" if latest else "",
            short(trial.env_steps_per_second),
            _tight(campaign.seconds_left(trial)),
            f"{_tight(max(campaign.time - trial.updated, 0))} ago",
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _cost(summary: Summary, cell: str) -> tuple[str, ...]:
    return () if summary.cost is None else (cell,)


def _percent(campaign: Campaign, rate: SuccessRate | None) -> str:
    return " ".join(percent(rate, campaign.confidence)).strip()


def _tight(seconds: float | None) -> str:
    return duration(seconds).replace(" min", "m").replace(" ", "")
