"""What does a dataset's driver pay for a shard, as the dataset grows to a million episodes?

What it shows: workers write and hash their own files; the driver lists each in the journal. The
time of that (a lookup, a line that is on the disk, a log line) for the last shards of datasets of
6,500, 130,000 and 1,000,000 episodes, 25 to a shard; what opening such a dataset again takes, and
folding the journal into the manifest when it is closed. The files themselves are not made: their
entries are synthetic, since the driver never opens them.

How to run it (a minute)::

    python benchmarks/data_scale.py
    python benchmarks/data_scale.py --verify DATASET  # `dataset verify` in one process

Results to expect: a row for each size; the last line is ``RESULT`` and a JSON object with
``driver_ms_per_shard`` by number of episodes, their largest ``ratio``, and ``cores_fed``: workers
that one driver keeps busy if a shard takes 40 core seconds. With ``--verify``: CPU time for an
episode, the core hours of a million of them, and the memory that verifying adds.
"""

import argparse
import hashlib
import json
import logging
import resource
import tempfile
import time
from pathlib import Path

from rl_datagen.data.files import episodes_path, steps_path
from rl_datagen.data.manifest import FileEntry, Shard
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.tasks import TASKS

EPISODES_PER_SHARD, STEPS = 25, 3250
SIZES = (6_500, 130_000, 1_000_000)
NUM_TIMED = 200
SECONDS_PER_SHARD = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verify", type=Path, metavar="DATASET")
    dataset = parser.parse_args().verify
    logging.getLogger("rl_datagen").setLevel(logging.WARNING)
    print("RESULT", json.dumps(measure_verify(dataset) if dataset else measure_driver()))


def measure_driver() -> dict:
    """Returns what a driver pays for a shard."""
    rows = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rows[size] = measure(Path(folder) / "dataset", size // EPISODES_PER_SHARD)
        print(size, json.dumps(rows[size]), flush=True)
    per_shard = {size: row["ms_per_shard"] for size, row in rows.items()}
    return {
        "driver_ms_per_shard": per_shard,
        "ratio": round(max(per_shard.values()) / min(per_shard.values()), 2),
        "cores_fed": round(1000 * SECONDS_PER_SHARD / max(per_shard.values())),
    }


def measure_verify(dataset: Path) -> dict[str, float]:
    """Returns what it takes to verify a dataset."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    report = verify(dataset)
    seconds = time.process_time() - begin
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    return {
        "problems": len(report.problems),
        "episodes": report.num_episodes,
        "env_steps": report.num_rows,
        "ms_per_episode": round(1000 * seconds / report.num_episodes, 2),
        "core_hours_per_million": round(seconds / report.num_episodes * 1e6 / 3600, 2),
        "memory_mb": round(grown / 1024, 1),
    }


def measure(path: Path, num_shards: int) -> dict[str, float]:
    """Returns seconds of a driver: per shard, to open, to close."""
    shards = [synthetic(number) for number in range(num_shards)]
    with DatasetWriter(path, config={}, origin={}) as writer:
        for shard in shards[:-NUM_TIMED]:
            writer.take(shard)
    begin = time.perf_counter()
    writer = DatasetWriter(path, config={}, origin={})
    opened = time.perf_counter()
    for shard in shards[-NUM_TIMED:]:
        assert not writer.has_part(shard.task, shard.part)
        writer.take(shard)
    done = time.perf_counter()
    writer.close()
    return {
        "ms_per_shard": round(1000 * (done - opened) / NUM_TIMED, 3),
        "open_s": round(opened - begin, 2),
        "close_s": round(time.perf_counter() - done, 2),
    }


def synthetic(number: int) -> Shard:
    """Returns the listing of a shard that is not there."""
    part, index = divmod(number, len(TASKS))
    task = TASKS[index].id
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    entries = {
        name: FileEntry(path=path(task, part), num_rows=rows, num_bytes=10**6, sha256=digest)
        for name, path, rows in (
            ("steps", steps_path, STEPS),
            ("episodes", episodes_path, EPISODES_PER_SHARD),
        )
    }
    return Shard(task=task, num_episodes=EPISODES_PER_SHARD, num_attempts=26, **entries)


if __name__ == "__main__":
    main()
