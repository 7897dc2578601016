"""One self-contained, self-refreshing HTML page of all trials of a campaign."""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from markupsafe import Markup

from rl_datagen.campaign.links import Links, links
from rl_datagen.campaign.pictures import read_pictures
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
_URGENT = ("failed", "running")  # what a look at the page is for: at its top, in this order
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
    pictures = read_pictures(storage, [trial.task for trial in campaign.trials])
    page = render_board(campaign, every=every, pictures=pictures, links=links(campaign))
    storage.write_text("board/index.html", page)
    return f"{without_credentials(storage.uri)}/board/index.html"


def render_board(
    campaign: Campaign,
    *,
    every: float = 30,
    pictures: Mapping[str, bytes] = MappingProxyType({}),
    links: Mapping[str, Links] = MappingProxyType({}),
) -> str:
    """Returns the page: failed and running trials first, then all others, suite by suite.

    Args:
        campaign: What to show.
        every: Seconds between two reloads of the page in a browser.
        pictures: JPEGs of the tasks' scenes, by task.
        links: Titles and addresses of what trials have left, by task.
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
    make = partial(_row, campaign, pictures, links)
    suites = [
        (suite, [make(t) for t in campaign.trials if t.task.startswith(f"{suite.name}/")])
        for suite in campaign.suites
    ]
    columns = (*_COLUMNS, *(("Cost",) if campaign.cost_per_hour is not None else ()), "Left, about")
    return environment.get_template("board.html.j2").render(
        c=campaign,
        every=every,
        columns=columns,
        width=campaign.width,
        cards=_cards(campaign),
        urgent=[make(trial) for state in _URGENT for trial in campaign.of(state)],
        suites=[(s, [r for r in rows if r.trial.state not in _URGENT]) for s, rows in suites],
    )


@dataclass(frozen=True)
class _Row:
    """What the page shows of a trial, in the order of the columns where they are not its own."""

    trial: TrialState
    place: int
    instruction: str
    spark: Markup
    left: float | None
    cost: float | None
    picture: str
    links: Links


def _row(
    campaign: Campaign, pictures: Mapping[str, bytes], links: Mapping[str, Links], trial: TrialState
) -> _Row:
    picture = base64.b64encode(pictures.get(trial.task, b"")).decode()
    return _Row(
        trial=trial,
        place=campaign.trials.index(trial),
        instruction=get_task(trial.task).instruction,
        spark=_sparkline(trial),
        left=campaign.seconds_left(trial),
        cost=campaign.cost(trial.seconds),
        picture=f"data:image/jpeg;base64,{picture}" if picture else "",
        links=links.get(trial.task, []),
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
