import tracemalloc

import numpy as np
import pytest

from rl_datagen.data import DatasetWriter, RenderedEpisode
from rl_datagen.export import export_hdf5, export_lerobot, export_rlds

LENGTH, SIZE = 12, 128


def make(path, num_episodes, make_trajectory):
    views = np.random.default_rng(0).integers(0, 256, (2, LENGTH, SIZE, SIZE, 3), np.uint8)
    with DatasetWriter(path, config={}) as writer:
        episodes = [make_trajectory(index) for index in range(num_episodes)]
        writer.append(episodes)
        (shard,) = writer.manifest.shards
        images = (RenderedEpisode(e.episode_id, *views, "jpeg") for e in episodes)
        writer.append_images(images, shard=shard)
    return path


def peak(export, *arguments):
    tracemalloc.start()
    try:
        export(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("export", [export_hdf5, export_lerobot, export_rlds])
def test_memory_does_not_grow_with_the_number_of_episodes(tmp_path, make_trajectory, export):
    few, many = (make(tmp_path / f"of_{n}", n, make_trajectory) for n in (2, 12))
    export(few, tmp_path / "warm_up")
    first = peak(export, few, tmp_path / "few")
    assert peak(export, many, tmp_path / "many") < 1.25 * first
    assert first > 2 * LENGTH * SIZE * SIZE * 3  # what is measured includes the images
