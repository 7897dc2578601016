"""Synthetic labels of synthetic episodes."""

import numpy as np

from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.files import NewLabels
from rl_datagen.data.labels import EpisodeLabels
from rl_datagen.data.writer import DatasetWriter


def make_labels(trajectory, **changes):
    """Labels of two subtasks: the bowl is picked up, then it is placed."""
    length = len(trajectory)
    half = length // 2
    placing = [step >= half for step in range(length)]
    held = ["" if not each else "bowl_1" for each in placing]
    values = {
        "episode_id": trajectory.episode_id,
        "statements": ("on bowl_1 plate_1", "close drawer_1"),
        "predicates": np.stack([np.zeros(length, bool), np.ones(length, bool)], axis=1),
        "subtask": [("pick up the bowl", "place the bowl on the plate")[p] for p in placing],
        "subtask_index": np.array(placing, np.int32),
        "held": held,
        "contact_objects": [[each, "table"] if each else [] for each in held],
        "contact_forces": [[12.5, 1.0] if each else [] for each in held],
        "next_predicate": np.zeros(length, np.int32),
        "goal_distance": np.linspace(0.3, 0.1, length, dtype=np.float32),
        "progress": np.linspace(0, 1, length, dtype=np.float32),
        "failure": None if trajectory.success else "dropped",
    }
    return EpisodeLabels(**{**values, **changes})


def add_labels(dataset, make=make_labels):
    """Labels all shards of a dataset."""
    episodes = {each.episode_id: each for each in read_trajectories(dataset)}
    with DatasetWriter(dataset, config=None) as writer:
        for shard in writer.manifest.shards:
            mine = [t for t in episodes.values() if writer.shard_of(t.episode_id) == shard]
            writer.take(NewLabels([make(t) for t in mine], shard.steps.path))
            episodes = {n: t for n, t in episodes.items() if t not in mine}
