"""How good episodes and policies are: measures, plots, pages and tables."""

from rl_datagen.report.demonstrations import (
    TaskDemonstrations,
    demonstrations_info,
    find_datasets,
)
from rl_datagen.report.metrics import (
    EpisodeQuality,
    mean_squared_jerk,
    spectral_arc_length,
)
from rl_datagen.report.sources import SourceQuality, measure_sources

__all__ = [
    "EpisodeQuality",
    "SourceQuality",
    "TaskDemonstrations",
    "demonstrations_info",
    "find_datasets",
    "mean_squared_jerk",
    "measure_sources",
    "spectral_arc_length",
]
