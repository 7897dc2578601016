"""Datasets verified on many cores."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.problems import VerifyReport
from rl_datagen.data.verify import verify
from rl_datagen.data.verify_shard import Checked, ShardCheck, check_shard
from rl_datagen.runtime.executor import Job, Tell, execute

_UNIT_BYTES, _UNIT_SHARDS = 50e6, 64
"""What a worker is given at a time, at most."""
_BYTES_HERE = 300e6
"""So much is read before Ray has started."""

_Unit = tuple[int, tuple[ShardCheck, ...]]  # its number, and the shards


class _CheckShards(Job[int, _Unit, list[Checked]]):
    """Shards, some at a time; what is found is kept in memory."""

    name = "verify"
    noun = "shards read"

    def __init__(self, checks: Sequence[ShardCheck], folder: Path, num_workers: int | None) -> None:
        self.folder, self.num_workers = folder, num_workers
        self._parts, self.found = list(_parts(checks)), dict[int, list[Checked]]()
        little = sum(map(_num_bytes, checks)) < _BYTES_HERE
        self.num_in_process = len(self._parts) if little or num_workers == 1 else 1

    def keys(self) -> Sequence[int]:
        return range(len(self._parts))

    def is_done(self, key: int) -> bool:
        return key in self.found

    def unit(self, key: int) -> _Unit:
        return key, self._parts[key]

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> list[Checked]:
        found: list[Checked] = []
        for number, check in enumerate(unit[1], 1):
            found.append(check_shard(check))
            tell(number)
        return found

    def store(self, unit: _Unit, result: list[Checked]) -> None:
        self.found[unit[0]] = result

    def size(self, key: int) -> int:
        return len(self._parts[key])

    def label(self, key: int) -> str:
        return self._parts[key][0].shard.task


def check_dataset(
    dataset: Path,
    *,
    quick: bool = False,
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Verifies a dataset: on Ray, if that is there and the dataset is not small.

    Args:
        dataset: The dataset's folder.
        quick: Do not decode the images.
        num_workers: Parts worked on at a time; None: as many as the cluster has cores.
        progress: Told how far it is.

    Raises:
        DatasetError: The folder holds no dataset at all.
        UserError: A worker could not do its part.
    """

    def check(checks: Sequence[ShardCheck], progress: Progress) -> Iterator[Checked]:
        with TemporaryDirectory() as folder:
            job = _CheckShards(checks, Path(folder), num_workers)
            execute(job, progress).check()
        for _, found in sorted(job.found.items()):
            yield from found

    return verify(dataset, quick=quick, check=check, progress=progress)


def _parts(checks: Sequence[ShardCheck]) -> Iterator[tuple[ShardCheck, ...]]:
    part: list[ShardCheck] = []
    size = 0
    for check in checks:
        more = _num_bytes(check)
        if part and (len(part) == _UNIT_SHARDS or size + more > _UNIT_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(check)
        size += more
    if part:
        yield tuple(part)


def _num_bytes(check: ShardCheck) -> int:
    return sum(file.num_bytes for file in check.shard.files())
