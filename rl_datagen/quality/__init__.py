"""How good episodes are: metrics, intervals, plots and one page that shows them."""

from rl_datagen.quality.content import ReportContent, SuccessRate, VideoClip
from rl_datagen.quality.demonstrations import (
    TaskDemonstrations,
    demonstrations_info,
    find_datasets,
)
from rl_datagen.quality.metrics import (
    EpisodeQuality,
    mean_squared_jerk,
    spectral_arc_length,
)
from rl_datagen.quality.report import write_report
from rl_datagen.quality.sources import SourceQuality, measure_sources
from rl_datagen.quality.statistics import (
    Estimate,
    bootstrap_change,
    bootstrap_mean,
    wilson_interval,
)

__all__ = [
    "EpisodeQuality",
    "Estimate",
    "ReportContent",
    "SourceQuality",
    "SuccessRate",
    "TaskDemonstrations",
    "VideoClip",
    "bootstrap_change",
    "bootstrap_mean",
    "demonstrations_info",
    "find_datasets",
    "mean_squared_jerk",
    "measure_sources",
    "spectral_arc_length",
    "wilson_interval",
    "write_report",
]
