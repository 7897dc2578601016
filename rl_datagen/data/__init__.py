"""Episodes, shards, manifests and normalisation statistics."""

from rl_datagen.data.card import DatasetInfo, TaskInfo, dataset_info, write_card
from rl_datagen.data.columns import Episode
from rl_datagen.data.dataset import (
    read_episodes,
    read_failures,
    read_images,
    read_labels,
    read_rendered,
    read_trajectories,
    rendered_episodes,
)
from rl_datagen.data.frames import Dataset
from rl_datagen.data.images import RenderedEpisode, write_video
from rl_datagen.data.labels import EpisodeLabels
from rl_datagen.data.manifest import Manifest, Shard, read_manifest
from rl_datagen.data.points import PointCloud, point_cloud
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Source, Trajectory, find_noops
from rl_datagen.data.verify import Problem, VerifyReport, verify
from rl_datagen.data.views import View
from rl_datagen.data.writer import DatasetWriter

__all__ = [
    "CONTROL_FREQUENCY",
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Episode",
    "EpisodeLabels",
    "Manifest",
    "PointCloud",
    "Problem",
    "RenderedEpisode",
    "Shard",
    "Source",
    "TaskInfo",
    "Trajectory",
    "VerifyReport",
    "View",
    "dataset_info",
    "find_noops",
    "point_cloud",
    "read_episodes",
    "read_failures",
    "read_images",
    "read_labels",
    "read_manifest",
    "read_rendered",
    "read_trajectories",
    "rendered_episodes",
    "verify",
    "write_card",
    "write_video",
]
