"""What the report shows, as plain values that any run can fill."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_datagen.core.intervals import SuccessRate
from rl_datagen.data.card import DatasetInfo
from rl_datagen.data.verify import VerifyReport
from rl_datagen.report.sources import SourceQuality


@dataclass(frozen=True)
class VideoClip:
    """An MP4 to build into the page.

    Attributes:
        path: Of the file.
        caption: What it shows.
    """

    path: Path
    caption: str


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything the page shows. An empty part is left out of it.

    Attributes:
        task: Task id.
        instruction: The task's sentence.
        success_rates: Evaluations on the same init states; the last one is the headline and the
            first one what it is compared with.
        learning_curve: One mapping per iteration; ``success_rate`` and ``episode_len_mean`` are
            plotted over ``iteration``, any of them may be missing.
        sources: Quality of each source, the human demonstration first.
        dataset: What the dataset holds.
        verification: Outcome of ``verify``.
        videos: Rendered episodes.
        contrast: The warm start's failure and the expert's success from the same init state.
        warm_start: Means over the warm start's own successes, by measure (``MEASURES``).
        stage_seconds: Wall-clock time of each stage.
        provenance: Code, versions, hardware.
        config_yaml: The resolved configuration.
        commands: What reproduces the page, one shell line each.
        next_steps: What to do with the dataset: what for, and the shell line.
        confidence: Level of every interval on the page.
    """

    task: str
    instruction: str
    success_rates: tuple[SuccessRate, ...]
    learning_curve: tuple[Mapping[str, Any], ...]
    sources: tuple[SourceQuality, ...]
    dataset: DatasetInfo
    verification: VerifyReport
    videos: tuple[VideoClip, ...] = ()
    contrast: tuple[VideoClip, ...] = ()
    warm_start: Mapping[str, float] = field(default_factory=dict[str, float])
    stage_seconds: Mapping[str, float] | None = None
    provenance: Mapping[str, Any] | None = None
    config_yaml: str = ""
    commands: tuple[str, ...] = ()
    next_steps: tuple[tuple[str, str], ...] = ()
    confidence: float = 0.95
