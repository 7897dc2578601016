"""One self-contained, self-refreshing HTML page of all trials of a campaign."""

import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from markupsafe import Markup

from rl_datagen.campaign.read import PATIENCE_S, read_campaign
from rl_datagen.campaign.state import TrialState
from rl_datagen.campaign.status import (
    Campaign,
    error_line,
    money,
    percent,
    short,
    success,
)
from rl_datagen.core.durations import duration
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.storage import Storage
from rl_datagen.core.templates import template_environment
from rl_datagen.tasks import get_task

_WIDTH, _HEIGHT, _MAX_POINTS = 110, 26, 60  # of a sparkline
_COLUMNS = ("Task", "State", "Success", "Curve", "Env steps", "Steps/s", "Hours", "Retries")


def write_board(folder: str, *, every: float = 30) -> str:
    """Writes ``board/index.html`` of a campaign and returns its path or URI.

    Args:
        folder: Name, folder or URI of the campaign.
        every: Seconds between two reloads of the page in a browser.

    Raises:
        UserError: There is no such campaign, or its files are damaged.
    """
    campaign = read_campaign(folder)
    storage = Storage(campaign.folder, PATIENCE_S)
    storage.write_text("board/index.html", render_board(campaign, every=every))
    return f"{without_credentials(storage.uri)}/board/index.html"


def render_board(campaign: Campaign, *, every: float = 30) -> str:
    """Returns the page.

    Args:
        campaign: What to show.
        every: Seconds between two reloads of the page in a browser.
    """
    environment = template_environment(
        "rl_datagen.campaign",
        percent=partial(percent, confidence=campaign.confidence),
        clock=lambda moment: time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment)),
        money=money,
        plain=without_credentials,
        short=short,
        duration=duration,
        success=success,
        error_line=error_line,
    )
    rows = groupby(campaign.trials, key=lambda trial: trial.task.split("/")[0])
    columns = (*_COLUMNS, *(("Cost",) if campaign.cost_per_hour is not None else ()), "Left, about")
    return environment.get_template("board.html.j2").render(
        c=campaign,
        every=every,
        columns=columns,
        width=campaign.width,
        cards=_cards(campaign),
        suites=[
            (suite, [_row(campaign, trial) for trial in trials])
            for suite, (_, trials) in zip(campaign.suites, rows, strict=True)
        ],
    )


def _row(campaign: Campaign, trial: TrialState) -> tuple[object, ...]:
    return (
        trial,
        get_task(trial.task).instruction,
        _sparkline(trial),
        campaign.seconds_left(trial),
        campaign.cost(trial.seconds),
    )


def _cards(campaign: Campaign) -> list[tuple[str, str, str]]:
    """Returns the page's numbers: title, number, and a line about it."""
    total, counts = campaign.total, campaign.total.counts
    cards = [
        (
            "Finished",
            f"{counts['finished']} of {len(campaign.trials)}",
            ", ".join(f"{n} {state}" for state, n in counts.items() if n and state != "finished"),
        )
    ]
    for moment, rate in (("before PPO", total.before), ("after PPO", total.after)):
        if rate:
            number, interval = percent(rate, campaign.confidence)
            note = f"{interval}, {rate.num_successes:,} of {rate.num_episodes:,} episodes"
            cards.append((f"Success {moment}", number, note))
    rate = total.env_steps_per_second
    now = "nothing runs" if rate is None else f"{short(rate)} a second now"
    cards.append(("Env steps", short(total.env_steps), now))
    cost = "" if total.cost is None else f"cost about {money(total.cost)}"
    retries = f"retries: {total.retries}"
    cards.append(("Trial hours", f"{total.hours:,.1f}", ", ".join(filter(None, (cost, retries)))))
    if counts["running"] or counts["pending"]:
        left = duration(total.seconds_left) or "unknown"
        cards.append(("Time left", left, f"about, {campaign.width} at a time"))
    return cards


def _sparkline(trial: TrialState) -> Markup:
    """Returns evaluated and sampled success over the planned iterations as inline SVG."""
    evaluated: list[tuple[float, float]] = [(at, rate) for at, rate in trial.evaluated]
    if before := success(trial, "before"):
        evaluated = [(0, before.rate), *evaluated]
    if after := success(trial, "after"):
        evaluated = [point for point in evaluated if point[0] < trial.iteration]
        evaluated.append((trial.iteration, after.rate))
    if not evaluated and not trial.sampled:
        return Markup()
    length = max(trial.num_iterations, trial.iteration, 1)
    lines = (
        _polyline(trial.sampled, length, ' stroke="var(--soft)" stroke-width=".9"'),
        _polyline(evaluated, length, ' stroke="currentColor" stroke-width="1.6"'),
    )
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="1.7"/>' for x, y in _places(evaluated, length))
    return Markup(
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 -1 {_WIDTH} {_HEIGHT + 2}" '
        f'fill="currentColor" role="img" aria-label="success over iterations">'
        f'<path d="M0 {_HEIGHT}H{_WIDTH}M0 0H{_WIDTH}" stroke="var(--line)"/>{"".join(lines)}{dots}'
        "</svg>"
    )


def _polyline(points: Sequence[Sequence[float]], length: int, style: str) -> str:
    places = " ".join(f"{x},{y}" for x, y in _places(points, length))
    return f'<polyline points="{places}" fill="none"{style}/>'


def _places(points: Sequence[Sequence[float]], length: int) -> list[tuple[float, float]]:
    """Returns at most ``_MAX_POINTS`` of the points, the last one among them, in SVG units."""
    step = -(-len(points) // _MAX_POINTS) or 1
    kept = points[::-1][::step][::-1]
    return [
        (round(at / length * (_WIDTH - 4) + 2, 1), round(_HEIGHT * (1 - rate), 1))
        for at, rate in kept
    ]
