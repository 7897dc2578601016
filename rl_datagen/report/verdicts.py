"""What the paper says of its sources, and what these datasets show (paper, Sec. V)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_datagen.core.intervals import Estimate, bootstrap_change
from rl_datagen.data.trajectory import Source
from rl_datagen.report.comparison import Comparison
from rl_datagen.report.page import number, percent
from rl_datagen.report.sources import SOURCE_LABELS, SourceQuality

Outcome = Literal["supported", "not supported", "not measured"]

_LOWER = {
    "length": ("shorter episodes than {}", "length", "env steps"),
    "mean_squared_jerk": ("smoother paths of the hand than {}", "mean_squared_jerk", "(m/s³)²"),
    "action_variance": ("actions more alike than {}", "action_std", "action deviation"),
    "paced_jerk": ("smoother paths than {} at equal length", "paced_jerk", "(m/s³)²"),
    "paced_variance": ("motions more alike than {} at equal length", "paced_std", "deviation"),
}
"""What is compared: the claim, the measure shown and its unit. Lower supports the claim."""

_VARIANCES = ("action_variance", "paced_variance")
_REFERENCES: dict[Source, str] = {
    "human": "human demonstrations",
    "gaussian_rl": "Gaussian RL",
    "gaussian_rl_sampled": "Gaussian RL, sampled",
}
"""What the paper compares diffusion RL with; its Gaussian data shakes, as samples do."""
_OPTIONAL = "gaussian_rl_sampled"
"""Of these, what nothing is said of where there is none of it."""


@dataclass(frozen=True)
class Verdict:
    """One claim of the paper's beside what was measured.

    Attributes:
        claim: What the paper says.
        outcome: ``supported`` if the whole interval agrees with the claim; ``not supported`` if it
            does not, be it the opposite or no difference; ``not measured`` without the episodes.
        measured: The numbers, or what is missing.
        change: Of diffusion RL's mean against the other source's, as a share; None if the claim is
            none of that kind or was not measured.
    """

    claim: str
    outcome: Outcome
    measured: str
    change: Estimate | None = None


def verdicts(comparison: Comparison) -> list[Verdict]:
    """Returns a verdict on each claim."""
    sources: dict[Source, SourceQuality] = {s.source: s for s in comparison.sources}
    lower = [
        _lower(sources, measure, reference, comparison.confidence)
        for measure in _LOWER
        for reference in _REFERENCES
        if reference != _OPTIONAL or reference in sources
    ]
    return [*lower, *_noops(sources)]


def _lower(
    sources: dict[Source, SourceQuality], measure: str, reference: Source, confidence: float
) -> Verdict:
    words, shown, unit = _LOWER[measure]
    claim = f"Diffusion RL has {words.format(_REFERENCES[reference])}"
    ours, theirs = sources.get("diffusion_rl"), sources.get(reference)
    if not ours or not theirs:
        return _absent(claim, reference if ours else "diffusion_rl")
    tasks = [
        task
        for task, a, b in zip(
            ours.tasks, ours.values(measure), theirs.over(ours.tasks).values(measure), strict=True
        )
        if np.isfinite(a).any() and np.isfinite(b).any()
    ]
    too_few = _too_few(measure, ours, theirs)
    ours, theirs = ours.over(tasks), theirs.over(tasks)
    change = bootstrap_change(ours.values(measure), theirs.values(measure), confidence)
    if change and measure in _VARIANCES:
        change = _of_root(change)
    means = ours.estimate(shown), theirs.estimate(shown)
    if not change or not means[0] or not means[1]:
        return Verdict(claim, "not measured", too_few)
    text = (
        f"{number(means[0].mean)} against {number(means[1].mean)} {unit}: "
        f"{percent(change.mean)}, interval {percent(change.low)} to {percent(change.high)}; "
        f"{len(tasks)} task{'s' * (len(tasks) > 1)}, {len(ours.episodes)} and "
        f"{len(theirs.episodes)} episodes."
    )
    if change.low <= 0 <= change.high:
        text += " No difference shown."
    return Verdict(claim, "supported" if change.high < 0 else "not supported", text, change)


def _of_root(change: Estimate) -> Estimate:
    """Returns the change of a standard deviation from that of the variance."""
    mean, low, high = (np.sqrt((1 + change.mean, 1 + change.low, 1 + change.high)) - 1).tolist()
    return Estimate(mean, low, high, change.num_samples)


def _absent(claim: str, source: Source) -> Verdict:
    return Verdict(claim, "not measured", f"No episode of {SOURCE_LABELS[source]}.")


def _too_few(measure: str, *sources: SourceQuality) -> str:
    needed = "two episodes of the same task" if measure in _VARIANCES else "two episodes"
    counts = " and ".join(
        f"{len(source.episodes)} of {source.label} in {len(source.tasks)}" for source in sources
    )
    return f"Takes {needed} of each source: there are {counts} task(s)."


def _noops(sources: dict[Source, SourceQuality]) -> Iterator[Verdict]:
    """Yields the verdicts on no-ops, which are counted: the paper says none against 3007."""
    claims: tuple[tuple[Source, str, bool], ...] = (
        ("diffusion_rl", "Diffusion RL has no no-ops", False),
        ("human", "Human demonstrations have no-ops (the paper counts 3,007)", True),
    )
    for source, claim, expected in claims:
        if source not in sources:
            yield _absent(claim, source)
            continue
        episodes = sources[source].episodes
        count = sum(episode.num_noops for episode in episodes)
        steps = sum(episode.length for episode in episodes)
        plural = "s" * (len(episodes) != 1)
        text = f"{count:,} in {steps:,} env steps of {len(episodes):,} episode{plural}."
        yield Verdict(claim, "supported" if (count > 0) == expected else "not supported", text)
