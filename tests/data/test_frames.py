import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data import Dataset, DatasetWriter, RenderedEpisode, columns, read_rendered
from rl_datagen.data.compact import compact

CAMERAS = ("agentview", "wrist")
CONFIG = {"sim": {"backend": "exact"}}


@pytest.fixture(params=["png", "jpeg"])
def some_rendered(dataset, request):
    """Of the first shard's four episodes, the second and the fourth have images."""
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        shard = writer.manifest.shards[0]
        ids = [name for name in sorted(writer.episode_ids) if name.startswith("libero_goal")][1:4:2]
        rng = np.random.default_rng(0)
        for name in ids:
            views = rng.integers(0, 256, (2, 12, 8, 10, 3), np.uint8)
            images = RenderedEpisode(name, *views, encoding=request.param)
            writer.append_images([images], shard=shard)
    return dataset


@pytest.fixture
def compacted(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "whole", config=CONFIG) as writer:
        writer.append([make_trajectory(i, length=10 + i) for i in range(3)])
    compact(tmp_path / "whole", tmp_path / "compact")
    return tmp_path / "compact"


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
    frames = Dataset(str(some_rendered), cameras=CAMERAS)
    pairs = [pair for pair in read_rendered(some_rendered) if pair[1]]
    assert len(frames) == 24
    for index in (23, 0, 11, 12):
        trajectory, images = pairs[index // 12]
        item, step = frames[index], index % 12
        for camera in CAMERAS:
            np.testing.assert_array_equal(item[camera], getattr(images, camera)[step])
        np.testing.assert_array_equal(item["action"], trajectory.action[step])
        np.testing.assert_array_equal(item["proprio"], trajectory.proprio[step])
        assert item["instruction"] == "open the top drawer and put the bowl inside"
        assert (item["episode_index"], item["step"]) == (index // 12, step)
    np.testing.assert_array_equal(frames[-1]["action"], frames[23]["action"])
    for beyond in (24, -25):
        with pytest.raises(IndexError):
            frames[beyond]


def test_nothing_is_left_out_unless_images_are_asked_for(some_rendered):
    everything = Dataset(some_rendered)
    assert (everything.num_episodes, everything.cameras) == (12, ())
    objects = Dataset(some_rendered, "libero_object")
    assert len(objects) == 4 * 12
    assert objects[47]["task"] == "libero_object/0"
    assert "wrist" not in objects[47]
    assert "12 episodes, 156 env steps, 2 tasks; proprio, action" in repr(everything)


def test_images_come_by_themselves_if_every_episode_has_them(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "all", config={}) as writer:
        episodes = [make_trajectory(i) for i in range(2)]
        writer.append(episodes)
        for each in episodes:
            views = np.full((2, 12, 8, 8, 3), 7, np.uint8)
            writer.append_images(
                [RenderedEpisode(each.episode_id, *views)], shard=writer.manifest.shards[0]
            )
    assert Dataset(tmp_path / "all").cameras == CAMERAS
    assert Dataset(tmp_path / "all", cameras=()).cameras == ()


def test_an_action_chunk_ends_with_its_episode(dataset):
    frames = Dataset(dataset, "libero_goal/3", action_horizon=5)
    first = frames.trajectory(0)
    item = frames[3]
    np.testing.assert_array_equal(item["action"], first.action[3:8])
    assert not item["action_is_pad"].any()
    last = frames[10]
    np.testing.assert_array_equal(last["action"], first.action[[10, 11, 11, 11, 11]])
    assert last["action_is_pad"].tolist() == [False, False, True, True, True]


def test_windows_are_in_seconds_as_lerobots(some_rendered):
    windows = {"proprio": [-0.1, 0.0], "wrist": [-0.05, 0.0, 0.05], "action": [0.0, 0.05]}
    frames = Dataset(some_rendered, cameras=["wrist"], delta_timestamps=windows)
    _, images = next(pair for pair in read_rendered(some_rendered) if pair[1])
    item, trajectory = frames[1], frames.trajectory(0)
    np.testing.assert_array_equal(item["proprio"], trajectory.proprio[[0, 1]])
    assert item["proprio_is_pad"].tolist() == [True, False]
    np.testing.assert_array_equal(item["wrist"], images.wrist[:3])
    np.testing.assert_array_equal(item["action"], trajectory.action[1:3])


def test_every_column_of_numbers_can_be_asked_for(dataset):
    frames = Dataset(dataset, "libero_goal/3", columns=columns.COLUMNS)
    trajectory = frames.trajectory(5)  # of the second shard
    index = sum(episode.length for episode in frames.episodes[:5]) + 4
    for name in ("sim_state", "object_state", "joint_pos", "reward", "decision"):
        np.testing.assert_array_equal(frames[index][name], getattr(trajectory, name)[4])
    assert frames.array("object_state").shape == (len(frames), 5)
    np.testing.assert_array_equal(frames.select([5]).array("sim_state"), trajectory.sim_state)


def test_what_is_returned_is_not_the_memory(dataset):
    frames = Dataset(dataset)
    before = frames[0]["action"].copy()
    frames[0]["action"][:] = 5
    np.testing.assert_array_equal(frames[0]["action"], before)


def test_splits_share_no_episode_and_hold_out_some_of_each_task(dataset):
    frames = Dataset(dataset, action_horizon=3)
    train, validation = frames.split(0.25, seed=1)
    names = [{episode.episode_id for episode in part.episodes} for part in (train, validation)]
    assert not names[0] & names[1]
    assert (len(names[0]), len(names[1])) == (9, 3)
    assert {episode.task for episode in validation.episodes} == {"libero_goal/3", "libero_object/0"}
    assert len(train) + len(validation) == len(frames)
    assert train[0]["action"].shape == (3, 7)
    again = frames.split(0.25, seed=1)[1]
    assert [e.episode_id for e in again.episodes] == [e.episode_id for e in validation.episodes]
    last = validation[len(validation) - 1]
    np.testing.assert_array_equal(last["action"][0], validation.trajectory(2).action[-1])
    for share in (0, 1, 0.01):
        with pytest.raises(ConfigError, match="validation="):
            frames.split(share)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_every_step_once(some_rendered, method):
    frames = Dataset(some_rendered, cameras=CAMERAS, action_horizon=2)
    frames[0]  # a file is open when the workers start
    loader = DataLoader(
        frames, batch_size=5, shuffle=True, num_workers=2, multiprocessing_context=method
    )
    batches = list(loader)
    assert batches[0]["agentview"].shape == (5, 8, 10, 3)
    assert batches[0]["action"].shape == (5, 2, 7)
    found = np.concatenate([batch["action"][:, 0] for batch in batches])
    expected = np.stack([frames[i]["action"][0] for i in range(24)])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(expected, axis=0))


def test_a_worker_that_is_spawned_gets_no_open_file(some_rendered):
    frames = Dataset(some_rendered, cameras=CAMERAS)
    frames[0]
    again = pickle.loads(pickle.dumps(frames))
    assert not again._open
    np.testing.assert_array_equal(again[20]["wrist"], frames[20]["wrist"])


def test_a_large_column_is_mapped_from_a_file(dataset, monkeypatch):
    small = Dataset(dataset)
    monkeypatch.setattr(columns, "_MAX_IN_MEMORY", 100)
    large = Dataset(dataset)
    assert isinstance(large._columns.arrays["action"], np.memmap)
    np.testing.assert_array_equal(large.array("action"), small.array("action"))


def test_a_compact_dataset_has_actions_and_init_states(compacted, make_trajectory):
    frames = Dataset(compacted, action_horizon=4)
    assert (frames.num_episodes, len(frames)) == (3, 33)
    original = make_trajectory(1, length=11)
    np.testing.assert_array_equal(frames[10]["action"], original.action[:4])
    np.testing.assert_array_equal(frames.episodes[1].init_state, original.init_state)
    np.testing.assert_array_equal(frames.episodes[1].fixture_poses, original.fixture_poses)
    for ask in (
        lambda: Dataset(compacted, columns=["proprio"]),
        lambda: Dataset(compacted, cameras=["wrist"]),
        lambda: frames.trajectory(0),
    ):
        with pytest.raises(DatasetError, match=r"dataset hydrate .*compact OUT"):
            ask()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": "libero_90"}, "no env step of tasks='libero_90'. It has libero_goal/3"),
        ({"cameras": ["wrist"]}, "no images of camera 'wrist'.*dataset render"),
        ({"cameras": ["wirst"]}, "'wirst'.*Did you mean 'wrist'.*Allowed: agentview, wrist"),
        ({"columns": ["propio"]}, "Did you mean 'proprio'.*Allowed: step, "),
        ({"delta_timestamps": {"action": [0.03]}}, "multiples of 1/20 s"),
        ({"delta_timestamps": {"action": []}}, "one or more"),
        ({"delta_timestamps": {"wrist": [0.0]}}, "does not give.*Allowed: proprio, action"),
        ({"action_horizon": 0}, "action_horizon=0"),
        ({"action_horizon": 2, "columns": ["proprio"]}, "of the column action"),
        ({"action_horizon": 2, "delta_timestamps": {"action": [0.0]}}, "no delta_timestamps"),
    ],
)
def test_what_is_not_there_is_one_paragraph(dataset, settings, message):
    with pytest.raises((ConfigError, DatasetError), match=message) as caught:
        Dataset(dataset, **settings)
    assert "\n" not in str(caught.value)


def test_tasks_of_other_sizes_are_refused(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "two", config={}) as writer:
        writer.append([make_trajectory(0)])
        wide = np.zeros((12, 9), np.float32)
        writer.append([make_trajectory(0, task="libero_object/0", object_state=wide)])
    assert len(Dataset(tmp_path / "two")) == 24
    with pytest.raises(DatasetError, match=r"5 numbers in libero_goal/3 and 9 in libero_object/0"):
        Dataset(tmp_path / "two", columns=["object_state"])


def test_damage_is_found_unless_it_is_not_looked_for(some_rendered):
    path = next(some_rendered.glob("images/*/*/*.parquet"))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        Dataset(some_rendered)
    assert len(Dataset(some_rendered, check=False)) == 156
