"""A small rendered dataset: two tasks, three episodes each, one of which failed."""

import numpy as np
import pytest

from rl_datagen.data import DatasetWriter, RenderedEpisode, read_rendered

SIZE = (16, 20)


def add_images(writer, shard, ids, lengths, size=SIZE):
    rng = np.random.default_rng(0)
    writer.append_images(
        [
            RenderedEpisode(name, *rng.integers(0, 256, (2, length, *size, 3), np.uint8))
            for name, length in zip(ids, lengths, strict=True)
        ],
        shard=shard,
    )


@pytest.fixture
def successes(rendered):
    """What is exported of it, in this order: LIBERO's order of the tasks."""
    tasks = ("libero_object/0", "libero_goal/3")
    pairs = [pair for task in tasks for pair in read_rendered(rendered, task=task)]
    return [(trajectory, images) for trajectory, images in pairs if trajectory.success]


@pytest.fixture
def rendered(tmp_path, make_trajectory):
    path = tmp_path / "rendered"
    with DatasetWriter(path, config={}, origin={}) as writer:
        for task in ("libero_goal/3", "libero_object/0"):
            episodes = []
            for index in range(3):
                length = 10 + index
                action = np.random.default_rng(index).uniform(-1, 1, (length, 7)).astype(np.float32)
                action[4:6, :6] = 0  # two no-ops
                action[4:6, 6] = action[3, 6]
                changes = {"action": action, "success": index != 1}
                episodes.append(make_trajectory(index, length=length, task=task, **changes))
            writer.append(episodes)
            shard = writer.shard_of(episodes[0].episode_id)
            # In two files and not in the order of the steps.
            add_images(writer, shard, [e.episode_id for e in episodes[1:]], [11, 12])
            add_images(writer, shard, [episodes[0].episode_id], [10])
    return path
