"""One self-contained HTML page: it loads nothing, so it can be mailed or kept for years."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rl_datagen.core.storage import write_text
from rl_datagen.report import plots
from rl_datagen.report.comparison import quality_row
from rl_datagen.report.content import ReportContent, VideoClip
from rl_datagen.report.learning import learning_curve
from rl_datagen.report.page import data_uri, megabytes, number, page_environment, percent
from rl_datagen.report.sources import MEASURES


def write_report(path: Path, content: ReportContent) -> Path:
    """Writes the page atomically and returns its path.

    Args:
        path: Name of the HTML file.
        content: What to show; a part that is empty is left out.
    """
    text = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            c=content,
            headline=_headline(content),
            figures=_figures(content),
            measures=MEASURES,
            rows=[quality_row(source, content.confidence) for source in content.sources],
            clips=_clips(content.videos),
            contrast=_clips(content.contrast),
            provenance=_flatten(content.provenance or {}),
        )
    )
    write_text(path, text)
    return path


def _clips(videos: Sequence[VideoClip]) -> list[tuple[str, str]]:
    return [(data_uri(clip.path), clip.caption) for clip in videos]


def _figures(content: ReportContent) -> dict[str, Markup]:
    drawn = {
        "success": plots.success_plot(content.success_rates, content.confidence)
        if content.success_rates
        else None,
        "learning": learning_curve(content.learning_curve, content.confidence),
        "length": plots.distribution_plot(content.sources, "length", confidence=content.confidence),
        "jerk": plots.distribution_plot(
            content.sources, "mean_squared_jerk", log=True, confidence=content.confidence
        ),
        "paths": plots.hand_paths(content.sources),
    }
    return {name: Markup(plot.svg()) for name, plot in drawn.items() if plot}


def _headline(content: ReportContent) -> list[tuple[str, str, str]]:
    """Returns the page's numbers: title, number, and a line about it."""
    cards = []
    if content.success_rates:
        after, before = content.success_rates[-1], content.success_rates[0]
        low, high = after.interval(content.confidence)
        note = f"{after.num_successes} of {after.num_episodes}, interval {low:.0%} to {high:.0%}"
        if before is not after:
            note += f"; {_inline(before.name)}: {before.rate:.0%}"
        cards.append((f"Success {_inline(after.name)}", f"{after.rate:.0%}", note))
    info = content.dataset
    note = f"{info.num_rows:,} env steps, {megabytes(info.num_bytes)}"
    cards.append(("Episodes in the dataset", f"{info.num_episodes:,}", note))
    for measure, title in (("length", "Length"), ("mean_squared_jerk", "Jerk")):
        if card := _against_teachers(content, measure, title):
            cards.append(card)
    return cards


def _against_teachers(
    content: ReportContent, measure: str, title: str
) -> tuple[str, str, str] | None:
    """Returns a measure of what was made last beside those of what it learnt from."""
    *before, made = content.sources or (None,)
    mean = made.estimate(measure) if made else None
    if not made or not mean:
        return None
    unit = f"{MEASURES[measure][1]}, mean of {_inline(made.label)}"
    learnt = [s for s in reversed(before) if s and s.source in ("amplified", "human")]
    means = {_inline(s.label): e.mean for s in learnt if (e := s.estimate(measure)) and e.mean}
    if not means:
        return title, number(mean.mean), unit
    base = next(iter(means.values()))
    if ours := content.warm_start.get(measure):
        means["warm start"] = ours
    others = (f"{name}: {number(x)} ({percent(mean.mean / x - 1)})" for name, x in means.items())
    note = f"{number(mean.mean)} {unit}; {', '.join(others)}"
    return f"{title} against its demonstrations", percent(mean.mean / base - 1), note


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _inline(name: str) -> str:
    """A name in the middle of a sentence: ``"After DPPO"`` becomes ``"after DPPO"``."""
    return name[:1].lower() + name[1:]
