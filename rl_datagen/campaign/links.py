"""What a trial has left on this disk: its expert, learning curve, demonstrations and datasets."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from rl_datagen.campaign.state import TrialState
from rl_datagen.campaign.status import Campaign
from rl_datagen.core.errors import DatasetError
from rl_datagen.core.paths import is_uri
from rl_datagen.data.manifest import MANIFEST_NAME, read_manifest
from rl_datagen.tasks import get_task

Links = list[tuple[str, str]]
"""Titles and addresses, relative to the board's folder."""


def links(campaign: Campaign) -> Mapping[str, Links]:
    """Returns what there is of each trial, by task; nothing of a campaign in a remote storage."""
    if is_uri(campaign.folder):
        return {trial.task: [] for trial in campaign.trials}
    folder = Path(campaign.folder).resolve()
    datasets = _collected(folder)
    return {
        trial.task: [
            (title, Path(os.path.relpath(path, folder / "board")).as_posix())
            for title, path in _places(folder, trial, datasets[trial.task])
        ]
        for trial in campaign.trials
    }


def _places(folder: Path, trial: TrialState, datasets: list[Path]) -> list[tuple[str, Path]]:
    """Returns what exists of a trial; see ``campaign.trial.TrialRun`` for where it lies."""
    task, output = get_task(trial.task), folder.parents[1]
    expert = output / "experts" / task.id / folder.name
    curve = [("curve", expert / "learning_curve.json")] if trial.iteration else []
    places = [
        ("expert", expert),
        *curve,
        ("demonstrations", output / "demos" / folder.name / f"{task.suite}-{task.index}"),
        *((f"dataset {path.name}", path) for path in datasets),
    ]
    return [(title, path) for title, path in places if path.exists()]


def _collected(folder: Path) -> Mapping[str, list[Path]]:
    """Returns the datasets beside a campaign that its experts have collected, by task."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for manifest in sorted((folder.parents[1] / "datasets").glob(f"*/{MANIFEST_NAME}")):
        try:
            dataset = read_manifest(manifest.parent)
        except DatasetError:
            continue  # somebody else's to put right
        experts = str(dataset.config.get("experts"))
        if experts == folder.name or Path(experts).resolve() == folder:
            for task in dict.fromkeys(shard.task for shard in dataset.shards):
                found[task].append(manifest.parent)
    return found
