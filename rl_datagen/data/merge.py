"""Mixtures: a dataset made of others, whose files are linked or copied and not encoded again."""

import math
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rl_datagen.config import Appearance
from rl_datagen.config.views import ViewsConfig, described
from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.files import episodes_path, images_path, labels_path, steps_path, writing
from rl_datagen.data.images import row_group_episodes
from rl_datagen.data.manifest import (
    FileEntry,
    Manifest,
    Shard,
    check_file,
    describe_file,
    read_manifest,
)
from rl_datagen.data.schema import EPISODES_SCHEMA
from rl_datagen.data.shards import open_parquet, read_row_group, write_parquet
from rl_datagen.data.views import views_of_file
from rl_datagen.data.writer import DatasetWriter

Row = dict[str, Any]
"""A row of the episodes table."""


@dataclass(frozen=True)
class MergedInput:
    """A dataset that goes into a mixture.

    Attributes:
        path: Its folder.
        weight: Its part of the mixture, relative to the others'; None: all of it.
        manifest: What it holds.
        rows: Its episodes.
        num_episodes: How many of them are taken.
    """

    path: Path
    weight: float | None
    manifest: Manifest
    rows: Sequence[Row]
    num_episodes: int


def merge(
    out: Path,
    inputs: Sequence[tuple[Path, float | None]],
    *,
    images: bool = True,
    progress: Progress = SILENT,
) -> list[MergedInput]:
    """Makes a dataset of other datasets' episodes.

    With weights, as many episodes as the ratio allows are taken: of each dataset the first ones of
    every task in turn, so that its tasks stay as equal as they are. The manifest records the inputs
    with their configurations and provenance. A call that was killed is continued by the same call.

    Args:
        out: Folder of the new dataset.
        inputs: Datasets and their weights; either all or none has a weight.
        images: Take the camera images along.
        progress: Told of each shard.

    Raises:
        DatasetError: An input is damaged, two hold an episode of the same id, or a weight is not
            positive or so small that nothing is taken.
    """
    taken = _count([_open(path, weight) for path, weight in inputs])
    _refuse_repetition(taken)
    appearance = _common_appearance(taken) if images else None
    if images:
        _refuse_other_views(taken)
    parts: Counter[str] = Counter()
    progress.start("merge", sum(len(s.manifest.shards) for s in taken), "shards")
    with DatasetWriter(out, config={"merge": _identity(taken, images)}) as writer:
        for source in taken:
            chosen: defaultdict[str, list[Row]] = defaultdict(list)
            for row in _choose(source):
                chosen[row["shard"]].append(row)
            for shard in source.manifest.shards:
                rows = chosen[shard.steps.path]
                part = parts[shard.task]
                parts[shard.task] += bool(rows)
                if rows and not writer.has_part(shard.task, part):
                    new = _copy_shard(source.path, shard, rows, out, part, images=images)
                    writer.add(new, appearance)
                progress.advance(1, shard.task)
    write_card(out)
    return taken


def _open(path: Path, weight: float | None) -> MergedInput:
    if weight is not None and not (0 < weight < math.inf):  # also not nan
        raise DatasetError(
            f"The weight of {path} is {weight}: give a positive number that is finite, such as "
            f"{path}=2. Nothing was written."
        )
    rows = read_episodes(path).to_pylist()
    return MergedInput(path, weight, read_manifest(path), rows, len(rows))


def _count(inputs: list[MergedInput]) -> list[MergedInput]:
    """Decides how many episodes each input gives."""
    weights = [source.weight for source in inputs if source.weight is not None]
    if not weights:
        return inputs
    if len(weights) < len(inputs):
        raise DatasetError(
            "Some datasets have a weight and others have none: give all of them one."
        )
    scale = min(len(s.rows) / weight for s, weight in zip(inputs, weights, strict=True))
    counts = [int(scale * weight + 1e-9) for weight in weights]
    if not all(counts):
        raise DatasetError(
            f"With these weights {inputs[counts.index(0)].path} gives no episode: the others have "
            "too few. Bring the weights closer together."
        )
    return [
        MergedInput(s.path, s.weight, s.manifest, s.rows, count)
        for s, count in zip(inputs, counts, strict=True)
    ]


def _refuse_repetition(inputs: Sequence[MergedInput]) -> None:
    owners: dict[str, MergedInput] = {}
    for source in inputs:
        for row in source.rows:
            first = owners.setdefault(row["episode_id"], source)
            if first is not source:
                raise DatasetError(
                    f"Episode '{row['episode_id']}' is in {first.path} and in {source.path}. "
                    "Nothing was written. Leave one of them out, or collect one again with "
                    "another seed: an episode's id tells task, source, seed and number."
                )


def _common_appearance(inputs: Sequence[MergedInput]) -> Appearance | None:
    """Returns how the textures of all their images are coloured; None: they have none."""
    owners: dict[Appearance, MergedInput] = {}
    for source in inputs:
        if (look := source.manifest.images_appearance) is not None:
            owners.setdefault(look, source)
    if len(owners) > 1:
        found = " and ".join(f"'{look}' in {source.path}" for look, source in owners.items())
        raise DatasetError(
            f"The images differ in their appearance: {found}. A VLA would take the colours of the "
            "textures for part of the task. Nothing was written. Leave the images out "
            "(--no-images) and render the mixture (`rl-datagen dataset render`)."
        )
    return next(iter(owners), None)


def _refuse_other_views(inputs: Sequence[MergedInput]) -> None:
    first: tuple[MergedInput, ViewsConfig] | None = None
    for source in inputs:
        entry = next((e for shard in source.manifest.shards for e in shard.images), None)
        if entry is None:
            continue
        views = views_of_file(open_parquet(source.path / entry.path).schema_arrow)
        first = first or (source, views)
        if views != first[1]:
            raise DatasetError(
                f"What is rendered differs: {described(first[1])} in {first[0].path}, and "
                f"{described(views)} in {source.path}; one dataset has one kind. Nothing was "
                "written. Leave the images out (--no-images) and render the mixture "
                "(`rl-datagen dataset render`)."
            )


def _identity(inputs: Sequence[MergedInput], images: bool) -> dict[str, Any]:
    return {
        "images": images,
        "inputs": {
            str(source.path): {
                "weight": source.weight,
                "num_episodes": source.num_episodes,
                "content": source.manifest.content_hash,
                "config": source.manifest.config,
                "provenance": source.manifest.provenance,
            }
            for source in inputs
        },
    }


def _choose(source: MergedInput) -> list[Row]:
    """Returns the episodes to take: the first of each task, then the second of each, ..."""
    count: Counter[str] = Counter()
    ranked: list[tuple[int, int, Row]] = []
    for number, row in enumerate(source.rows):
        ranked.append((count[row["task"]], number, row))
        count[row["task"]] += 1
    ranked.sort(key=lambda item: item[:2])
    taken = sorted(ranked[: source.num_episodes], key=lambda item: item[1])
    return [row for _, _, row in taken]


def _copy_shard(
    source: Path, shard: Shard, rows: Sequence[Row], out: Path, part: int, *, images: bool
) -> Shard:
    """Puts the files of some of a shard's episodes in place, under a new number."""
    steps, episodes = steps_path(shard.task, part), episodes_path(shard.task, part)
    places = {row["episode_id"]: index for index, row in enumerate(rows)}
    table = [{**row, "shard": steps, "row_group": places[row["episode_id"]]} for row in rows]
    with writing(out):
        copied = _copy_file(source, shard.steps, out, steps, places)
        write_parquet(
            out / episodes, EPISODES_SCHEMA, [pa.Table.from_pylist(table, schema=EPISODES_SCHEMA)]
        )
        new = Shard(
            task=shard.task,
            num_episodes=len(rows),
            steps=copied,
            episodes=describe_file(out, episodes, len(rows)),
            num_attempts=shard.num_attempts if len(rows) == shard.num_episodes else None,
        )
        if shard.labels is not None:
            path = labels_path(steps)
            labels = _copy_file(source, shard.labels, out, path, places)
            new = new.with_labels(labels)
        if not images:
            return new
        entries: list[FileEntry] = []
        for entry in shard.images:
            first = next(
                (places[n] for n in row_group_episodes(source / entry.path) if n in places), None
            )
            if first is not None:
                entries.append(
                    _copy_file(source, entry, out, images_path(new.steps.path, first), places)
                )
        return new.model_copy(update={"images": tuple(entries)})


def _copy_file(
    source: Path, entry: FileEntry, out: Path, path: str, episodes: Collection[str]
) -> FileEntry:
    """Links or copies a file whole, or copies the row groups of these episodes."""
    old, new = check_file(source, entry), out / path
    file = open_parquet(old)
    names = list(row_group_episodes(old, file))
    groups = [index for index, name in enumerate(names) if name in episodes]
    if len(groups) == len(names):
        _link(old, new)
        return entry.model_copy(update={"path": path})
    tables = (read_row_group(old, file, index) for index in groups)
    return describe_file(out, path, write_parquet(new, file.schema_arrow, tables))


def _link(old: Path, new: Path) -> None:
    """No file of a dataset is ever changed under its name, so two datasets may share one."""
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)  # left by a call that was killed
    try:
        os.link(old, new)
    except OSError:  # another disk, or one that knows no links
        with atomic_path(new) as temporary:
            shutil.copyfile(old, temporary)
