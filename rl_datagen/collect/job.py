"""Successful episodes of many tasks, written shard by shard as Ray's workers finish them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.collect.experts import Experts, StoredExpert
from rl_datagen.collect.unit import Actor, Counter, ShardUnit, Tally, collect_shard
from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos.importing import find_sources
from rl_datagen.tasks import Task, select_tasks

Shards = Sequence[tuple[Task, int]]


def collect(
    config: CollectionConfig,
    *,
    on_start: Callable[[int], None] = lambda _: None,
    on_shard: Callable[[int], None] = lambda _: None,
    on_tally: Callable[[Tally], None] = lambda _: None,
) -> Path:
    """Stores ``num_episodes`` successful episodes of each task.

    A shard appears whole or not at all, and depends on the configuration, the task and its number
    alone: a job that was killed continues with the shards that are missing, and ends with the same
    files as one that was not.

    Args:
        config: The job.
        on_start: Called with the number of episodes that are still to do.
        on_shard: Called after each shard with its number of successful episodes.
        on_tally: Called about every second.

    Returns:
        The dataset's folder.

    Raises:
        UserError: Some shards could not be filled; the others are stored.
    """
    if config.source == "human":  # its episodes are given, not planned: one shard holds them
        config = config.model_copy(update={"num_episodes_per_shard": config.num_episodes})
    path = Path(config.output_dir, "datasets", config.name)
    if config.experts:
        experts = Experts(config.experts, config.output_dir)
        tasks, actors = experts.tasks(config.task), experts.read
    else:
        tasks, actors = select_tasks(config.task or "all"), _demonstrations(config)
    problems: list[str] = []
    with DatasetWriter(path, config={"collect": _identity(config)}) as writer:
        missing = _missing(config, tasks, writer)
        on_start(sum(config.shard_size(shard) for _, shard in missing))
        if missing:
            problems = _run(config, missing, actors, writer, on_shard, on_tally)
        num_short = len(_missing(config, tasks, writer))
    write_card(path)
    if problems:
        total = len(tasks) * config.num_shards
        raise UserError(
            f"{num_short} of {total} shards are missing; the others are in {path}. "
            f"{' '.join(problems)} The same command tries these again, also with more attempts "
            "(max_attempts_per_episode=...)."
        )
    return path


def _identity(config: CollectionConfig) -> dict[str, Any]:
    """What a dataset belongs to; its episodes say themselves which expert acted."""
    free = {"task", "experts", "num_workers", "output_dir", "max_attempts_per_episode"}
    return config.model_dump(mode="json", exclude=free)


def _missing(config: CollectionConfig, tasks: Sequence[Task], writer: DatasetWriter) -> Shards:
    numbers = range(config.num_shards)
    return [(task, n) for task in tasks for n in numbers if not writer.has_part(task.id, n)]


def _run(
    config: CollectionConfig,
    missing: Shards,
    actors: Callable[[Task], Actor],
    writer: DatasetWriter,
    on_shard: Callable[[int], None],
    on_tally: Callable[[Tally], None],
) -> list[str]:
    """Collects the shards that are missing; returns a sentence for each that could not be."""
    problems: list[str] = []
    rows = read_episodes(writer.path).select(["task", "expert"]).to_pylist()
    known = {row["task"]: row["expert"] for row in rows}
    with ray_session(writer.path / ".ray.log", config.num_workers):
        counter: Any = ray.remote(num_cpus=0)(Counter).remote()

        def look() -> None:
            on_tally(ray.get(counter.read.remote()))

        units = _units(config, missing, actors, known, counter, problems)
        for unit, result in map_units(collect_shard, units, config.num_workers, on_wait=look):
            where = f"{unit.task.id} shard {unit.shard}"
            if isinstance(result, SimulatorError):
                problems.append(f"{where}: {result.message}.")
            elif isinstance(result, str):
                problems.append(f"{where}: {result}")
            else:
                episodes, num_attempts = result
                writer.append(
                    episodes,
                    part=unit.shard,
                    expert=_expert_id(unit.actor),
                    num_attempts=num_attempts,
                )
                on_shard(config.shard_size(unit.shard))
        look()
    return problems


def _units(
    config: CollectionConfig,
    missing: Shards,
    actors: Callable[[Task], Actor],
    known: Mapping[str, str | None],
    counter: Any,
    problems: list[str],
) -> Iterator[ShardUnit]:
    """Yields the units that have something to act, which is read when a worker is free."""
    actor: Actor | None = None
    last: Task | None = None
    for task, shard in missing:
        if task != last:
            last, actor = task, None
            try:
                actor = actors(task)
                _same_expert(task, _expert_id(actor), known)
            except UserError as error:
                actor = None
                problems.append(str(error))
        if actor is not None:
            yield ShardUnit(config, task, shard, actor, counter)


def _expert_id(actor: Actor) -> str | None:
    return actor.id if isinstance(actor, StoredExpert) else None


def _same_expert(task: Task, expert: str | None, known: Mapping[str, str | None]) -> None:
    if expert != known.get(task.id, expert):
        raise UserError(
            f"{task.id}: the dataset's episodes are of expert {known[task.id]}, and now it is "
            f"{expert}: collect from that one under another name (name=...)."
        )


def _demonstrations(config: CollectionConfig) -> Callable[[Task], Actor]:
    sources, _ = find_sources(config.task or "all", config.demonstrations)
    found = {source.task: source for source in sources}

    def read(task: Task) -> Actor:
        if task not in found:
            raise UserError(f"{task.id} has no human demonstration in '{config.demonstrations}'.")
        return found[task]

    return read
