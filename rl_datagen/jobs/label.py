"""Labelling: what is exactly known of each env step, read from the stored states."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import ShardReader
from rl_datagen.data.files import Delivery, NewLabels, Target
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.labels import Labeller
from rl_datagen.runtime.executor import Job, Outcome, Tell, execute
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task, require_present


@dataclass(frozen=True, eq=False)
class _Unit:
    """A shard's episodes.

    Attributes:
        trajectories: In the shard's order.
        of: Its steps file.
        target: The dataset.
    """

    trajectories: Sequence[Trajectory]
    of: str
    target: Target


class _Label(Job[str, _Unit, Delivery]):
    """A file of labels for each shard, which its steps file names."""

    name = "label"

    def __init__(self, writer: DatasetWriter, tasks: set[str], num_workers: int | None) -> None:
        self.folder, self.num_workers = writer.path, num_workers
        self._writer = writer
        shards = [shard for shard in writer.manifest.shards if shard.task in tasks]
        self._shards = {shard.steps.path: shard for shard in shards}
        self._done = {path for path, shard in self._shards.items() if shard.labels is not None}

    def keys(self) -> Sequence[str]:
        return list(self._shards)

    def is_done(self, key: str) -> bool:
        return key in self._done

    def size(self, key: str) -> int:
        return self._shards[key].num_episodes

    def unit(self, key: str) -> _Unit:
        reader = ShardReader(self.folder, self._shards[key])
        return _Unit(list(map(reader.read, reader.episode_ids)), key, self._writer.target)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Delivery:
        labeller = Labeller(load_scene(get_task(unit.trajectories[0].task)))
        labels = []
        for trajectory in unit.trajectories:
            labels.append(labeller.label(trajectory))
            tell(len(labels))
        return unit.target.deliver(NewLabels(labels, unit.of))

    def store(self, unit: _Unit, result: Delivery) -> None:
        self._writer.take(result)
        self._done.add(unit.of)


def label_dataset(
    dataset: Path,
    *,
    tasks: str = "all",
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Labels the shards that have no labels yet.

    A file of labels appears whole or not at all, so a job that was killed continues with the
    shards that are missing. Nothing is rendered or stepped.

    Args:
        dataset: The dataset's folder.
        tasks: Selector of the tasks to label.
        num_workers: Shards worked on at a time; None: as many as the cluster has cores.
        progress: Told how far the job is, episode by episode.

    Raises:
        ConfigError: The selector names no task, or none of the dataset's.
        DatasetError: It is not a dataset, a compact one, or damaged.
    """
    with DatasetWriter(dataset, config=None) as writer:
        there = {shard.task for shard in writer.manifest.shards}
        wanted = require_present(tasks, there, dataset)
        outcome = execute(_Label(writer, wanted, num_workers), progress)
    write_card(dataset)
    return outcome
