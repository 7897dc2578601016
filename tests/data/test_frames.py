import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from rl_datagen.core.errors import DatasetError
from rl_datagen.data import DatasetWriter, FrameDataset, RenderedEpisode, read_rendered


@pytest.fixture
def some_rendered(dataset):
    """Of the first shard's four episodes, the second and the fourth have images."""
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        shard = writer.manifest.shards[0]
        ids = [name for name in sorted(writer.episode_ids) if name.startswith("libero_goal")][1:4:2]
        rng = np.random.default_rng(0)
        for name in ids:
            views = rng.integers(0, 256, (2, 12, 8, 10, 3), np.uint8)
            writer.append_images([RenderedEpisode(name, *views)], shard=shard)
    return dataset


def test_episodes_come_with_their_images(some_rendered):
    pairs = list(read_rendered(some_rendered))
    assert len(pairs) == 12
    has_images = [images is not None for _, images in pairs]
    assert has_images == [False, True, False, True] + [False] * 8
    for trajectory, images in pairs:
        assert images is None or images.episode_id == trajectory.episode_id
    (one,) = read_rendered(some_rendered, episode_ids=[pairs[3][0].episode_id])
    np.testing.assert_array_equal(one[1].wrist, pairs[3][1].wrist)


def test_any_env_step_is_read(some_rendered):
    frames = FrameDataset(some_rendered)
    pairs = [pair for pair in read_rendered(some_rendered) if pair[1]]
    assert len(frames) == 24
    for index in (23, 0, 11, 12):
        trajectory, images = pairs[index // 12]
        item, step = frames[index], index % 12
        np.testing.assert_array_equal(item["agentview"], images.agentview[step])
        np.testing.assert_array_equal(item["wrist"], images.wrist[step])
        np.testing.assert_array_equal(item["action"], trajectory.action[step])
        np.testing.assert_array_equal(item["proprio"], trajectory.proprio[step])
        assert item["instruction"] == "open the top drawer and put the bowl inside"
    without = FrameDataset(some_rendered, "libero_object", images=False)
    assert len(without) == 4 * 12
    assert without[47]["task"] == "libero_object/0"
    assert "wrist" not in without[47]


def test_workers_read_every_step_once(some_rendered):
    frames = FrameDataset(some_rendered)
    frames[0]  # a file is open when the workers start
    loader = DataLoader(
        frames, batch_size=5, shuffle=True, num_workers=2, multiprocessing_context="fork"
    )
    batches = list(loader)
    assert batches[0]["agentview"].shape == (5, 8, 10, 3)
    found = np.concatenate([batch["action"] for batch in batches])
    expected = np.stack([frames[i]["action"] for i in range(24)])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(expected, axis=0))


def test_a_worker_that_is_spawned_gets_no_open_file(some_rendered):
    frames = FrameDataset(some_rendered)
    frames[0]
    again = pickle.loads(pickle.dumps(frames))
    assert not again._open
    np.testing.assert_array_equal(again[20]["wrist"], frames[20]["wrist"])


def test_nothing_to_read_is_an_error(dataset):
    with pytest.raises(DatasetError, match=r"no rendered env step of task=all.*dataset render"):
        FrameDataset(dataset)
    with pytest.raises(DatasetError, match="no env step of task=libero_90"):
        FrameDataset(dataset, "libero_90", images=False)
