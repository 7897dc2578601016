"""What LeRobot v3.0 and v2.1 write in the same way: episodes, statistics, description."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rl_datagen.core.storage import write_json, write_text
from rl_datagen.core.templates import template_environment
from rl_datagen.data.shards import column_array
from rl_datagen.data.trajectory import CONTROL_FREQUENCY
from rl_datagen.export.episodes import Part
from rl_datagen.export.job import Episodes, Receipt
from rl_datagen.export.lerobot_layout import Episode, Layout, feature_infos, to_episode
from rl_datagen.export.modality import modality
from rl_datagen.export.plan import Plan, Planned
from rl_datagen.export.statistics import (
    NUM_MOMENTS,
    DatasetStatistics,
    Statistics,
    image_histogram,
    map_moments,
)
from rl_datagen.tasks import get_task


@dataclass(frozen=True)
class LerobotFormat(ABC):
    """A version of LeRobot's format.

    Attributes:
        layout: Names, frames per second, and how images are stored.
        name: Of the dataset.
        modality_json: Whether GR00T's ``meta/modality.json`` is written.
    """

    layout: Layout
    name: str
    modality_json: bool = False

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that have MP4s."""
        return self.layout.rgb if self.layout.images == "video" else ()

    @abstractmethod
    def data_path(self, part: Part) -> str:
        """Returns the name of a part's Parquet file."""

    @abstractmethod
    def video_path(self, part: Part, camera: str) -> str:
        """Returns the name of a part's MP4."""

    def paths(self, part: Part) -> list[str]:
        """Returns the names of a part's files."""
        return [self.data_path(part), *(self.video_path(part, each) for each in self.cameras)]

    def options(self) -> dict[str, Any]:
        """Returns what the files depend on besides the dataset."""
        layout = {**asdict(self.layout), "besides": list(self.layout.besides.names)}
        encoder = "libx264, one thread, any processor"
        chosen = {"modality_json": self.modality_json, "encoder": encoder}
        return {"format": "LeRobot", **layout, "cameras": list(self.cameras), **chosen}

    def episodes(self, part: Part, episodes: Episodes) -> Iterator[Episode]:
        """Yields the features of a part's episodes."""
        for planned, (trajectory, rendered) in zip(part.episodes, episodes, strict=True):
            assert rendered is not None
            yield to_episode(self.layout, planned, trajectory, rendered)

    def look(self, episode: Episode) -> Receipt:
        """Returns what the statistics of an episode's images and maps are computed from."""
        features = episode.features
        moments = [map_moments(features[name]) for name in self.layout.besides.maps]
        return {
            "histograms": np.stack([image_histogram(features[name]) for name in self.layout.rgb]),
            "moments": np.reshape(moments, (len(moments), NUM_MOMENTS)),
        }

    def read_back(
        self, folder: Path, part: Part, receipt: Receipt, statistics: DatasetStatistics
    ) -> Iterator[tuple[Planned, dict[str, Statistics]]]:
        """Yields a part's episodes with their statistics, and adds these to those of all."""
        infos = feature_infos(self.layout, (0, 0))
        besides = self.layout.besides
        apart = (*self.layout.rgb, *besides.maps, *self.layout.language)
        names = [name for name in infos if name not in apart]
        table = pq.read_table(folder / self.data_path(part), columns=names)
        columns = {name: column_array(table, name).reshape(len(table), -1) for name in names}
        begin = 0
        looks = zip(part.episodes, receipt["histograms"], receipt["moments"], strict=True)
        for planned, histograms, moments in looks:
            rows = slice(begin, begin := begin + planned.length)
            images = dict(zip(self.layout.rgb, histograms, strict=True))
            maps = dict(zip(besides.maps, moments, strict=True))
            yield planned, statistics.add({n: v[rows] for n, v in columns.items()}, images, maps)

    @staticmethod
    def instruction(planned: Planned) -> str:
        """Returns the sentence of an episode's task."""
        return get_task(planned.task).instruction

    def info(self, plan: Plan) -> dict[str, Any]:
        """Returns what ``meta/info.json`` holds in both versions."""
        num_episodes = len(plan.episodes)
        return {
            "codebase_version": self.layout.version,
            "robot_type": "panda",
            "total_episodes": num_episodes,
            "total_frames": plan.num_frames,
            "total_tasks": len(plan.instructions),
            "fps": self.layout.fps,
            "splits": {"train": f"0:{num_episodes}"},
            "features": feature_infos(self.layout, plan.size),
        }

    def describe(self, folder: Path, plan: Plan) -> None:
        """Writes the card, and GR00T's description if it is asked for."""
        if self.modality_json:
            write_json(folder / "meta/modality.json", modality(self.layout))
        template = template_environment("rl_datagen.export", html=False)
        text = template.get_template("lerobot_card.md.j2").render(
            name=self.name,
            layout=self.layout,
            control_frequency=CONTROL_FREQUENCY,
            report=plan.report(folder),
            tasks=plan.tasks,
            size=plan.size,
            drop_noops=plan.choice.drop_noops,
            provenance=plan.manifest.provenance,
        )
        write_text(folder / "README.md", text)
