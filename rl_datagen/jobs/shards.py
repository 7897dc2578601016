"""What jobs share whose units are shards of a dataset."""

from collections.abc import Mapping

from rl_datagen.data.files import Delivery
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.rollout import describe_attempts
from rl_datagen.runtime.executor import Job, Key, Unit


class ShardJob(Job[Key, Unit, Delivery]):
    """Job that adds a shard to a dataset for each unit.

    Args:
        writer: Of the dataset.
        num_workers: Shards worked on at a time; None: as many as the cluster has cores.
    """

    def __init__(self, writer: DatasetWriter, num_workers: int | None) -> None:
        self.folder, self.num_workers = writer.path, num_workers
        self.writer = writer

    def store(self, unit: Unit, result: Delivery) -> None:
        """Lists the shard."""
        self.writer.take(result)

    def describe(self, counts: Mapping[str, float], seconds: float) -> str:
        """Returns success and throughput of the attempts, if there are any."""
        return describe_attempts(counts, seconds)
