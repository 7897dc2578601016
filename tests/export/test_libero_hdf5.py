import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_datagen.config.views import ViewsConfig
from rl_datagen.core.errors import DatasetError
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.views import View
from rl_datagen.demos.hdf5 import read_hdf5
from rl_datagen.export import write_hdf5

LIBERO_ATTRIBUTES = {  # of a released file
    "bddl_file_name",
    "env_args",
    "env_name",
    "macros_image_convention",
    "num_demos",
    "problem_info",
    "tag",
    "total",
}


def make_trajectory(index=0, *, length=5, width=79, num_fixtures=3, task="libero_goal/0"):
    rng = np.random.default_rng(index)
    return Trajectory(
        episode_id=f"episode-{index}",
        task=task,
        source="amplified",
        seed=index,
        init_state_index=None,
        success=index % 2 == 0,
        num_settle_steps=index,
        init_state=rng.normal(size=width),
        fixture_poses=rng.normal(size=(num_fixtures, 7)),
        sim_state=rng.normal(size=(length, width)),
        action=rng.uniform(-1, 1, size=(length, 7)).astype(np.float32),
        proprio=rng.normal(size=(length, 8)).astype(np.float32),
        ee_pos=rng.normal(size=(length, 3)),
        ee_quat=rng.normal(size=(length, 4)),
        gripper_qpos=rng.normal(size=(length, 2)),
        joint_pos=rng.normal(size=(length, 7)),
        object_state=np.zeros((length, 4), np.float32),
        reward=np.zeros(length, np.float32),
        decision=np.zeros(length, np.int32),
    )


def make_images(episode_id, length=5, size=8):
    images = np.random.default_rng(0).integers(0, 255, (2, length, size, size, 3), np.uint8)
    return RenderedEpisode(episode_id, *images)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "open_the_middle_drawer_of_the_cabinet_demo.hdf5"


def test_the_layout_is_liberos(path):
    trajectory = make_trajectory()
    write_hdf5(path, [(t, make_images(t.episode_id)) for t in (trajectory, make_trajectory(1))])
    with h5py.File(path) as file:
        data = file["data"]
        assert set(data.attrs) == LIBERO_ATTRIBUTES
        assert (data.attrs["num_demos"], data.attrs["total"]) == (2, 10)
        assert data.attrs["env_name"] == "Libero_Tabletop_Manipulation"
        assert json.loads(data.attrs["problem_info"]) == {
            "problem_name": "libero_tabletop_manipulation",
            "domain_name": "robosuite",
            "language_instruction": "open the middle drawer of the cabinet",
        }
        env_args = json.loads(data.attrs["env_args"])
        assert env_args["type"] == 1
        assert env_args["env_kwargs"]["camera_heights"] == 8
        demo = data["demo_0"]
        shapes = {name: demo[name].shape[1:] for name in demo if name != "obs"}
        assert shapes == {
            "actions": (7,),
            "states": (79,),
            "robot_states": (9,),
            "rewards": (),
            "dones": (),
        }
        assert {name: array.shape[1:] for name, array in demo["obs"].items()} == {
            "gripper_states": (2,),
            "joint_states": (7,),
            "ee_states": (6,),
            "ee_pos": (3,),
            "ee_ori": (3,),
            "agentview_rgb": (8, 8, 3),
            "eye_in_hand_rgb": (8, 8, 3),
        }
        assert demo["actions"].dtype == np.float64
        assert demo["rewards"].dtype == demo["dones"].dtype == np.uint8
        assert demo.attrs["num_samples"] == 5
        np.testing.assert_array_equal(demo.attrs["init_state"], trajectory.sim_state[0])
        assert [list(data[d]["rewards"]) for d in data] == [[0, 0, 0, 0, 1], [0] * 5]


def test_depth_segmentation_and_camera_are_turned_with_the_images(path):
    random, length, size = np.random.default_rng(1), 5, 8
    depth = random.uniform(0.5, 2, (length, size, size)).astype(np.float32)
    inside = np.array([[10.0, 0, 3.5], [0, 10, 3.5], [0, 0, 1]])
    images = make_images("a")
    besides = ViewsConfig(modalities=("depth", "segmentation"))
    view = View(
        images.wrist,
        np.tile(inside, (length, 1, 1)),
        np.tile(np.eye(4), (length, 1, 1)),
        depth,
        np.full(depth.shape, 2001, np.uint16),
    )
    write_hdf5(
        path, [(make_trajectory(), replace(images, settings=besides, views={"wrist": view}))]
    )
    with h5py.File(path) as file:
        obs = file["data/demo_0/obs"]
        np.testing.assert_array_equal(obs["eye_in_hand_depth"][()][:, ::-1, :, 0], depth)
        assert (obs["eye_in_hand_segmentation"].dtype, obs["eye_in_hand_depth"].ndim) == ("u2", 4)
        # A point's pixel in what is stored is the mirror of its pixel in the upright image.
        point = np.array([0.1, -0.2, 1])
        column, row, _ = inside @ point
        stored = obs["eye_in_hand_intrinsics"][0] @ point
        np.testing.assert_allclose(stored, [column, size - 1 - row, 1])


def test_images_have_their_last_row_first(path):
    images = make_images("a")
    write_hdf5(path, [(make_trajectory(), images)])
    with h5py.File(path) as file:
        obs = file["data/demo_0/obs"]
        np.testing.assert_array_equal(obs["agentview_rgb"][2, 0], images.agentview[2, -1])
        np.testing.assert_array_equal(obs["eye_in_hand_rgb"][()][:, ::-1], images.wrist)


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    num_fixtures=st.integers(0, 3),
    width=st.integers(3, 30),
)
def test_what_is_written_is_read(tmp_path_factory, lengths, num_fixtures, width):
    path = tmp_path_factory.mktemp("hdf5") / "open_the_middle_drawer_of_the_cabinet_demo.hdf5"
    shape = {"num_fixtures": num_fixtures, "width": width}
    episodes = [make_trajectory(i, length=n, **shape) for i, n in enumerate(lengths)]
    for episode in episodes:  # -1 to open, 1 to close: other grippers are refused
        episode.action[:, 6] = np.where(episode.action[:, 6] < 0.5, -1, 1)
    assert write_hdf5(path, ((episode, None) for episode in episodes)) == len(episodes)
    read, problems = read_hdf5(path)
    assert problems == []
    for index, (demonstration, episode) in enumerate(zip(read, episodes, strict=True)):
        assert demonstration.name == f"demo_{index}"
        assert demonstration.task.id == episode.task
        assert demonstration.num_settle_steps == episode.num_settle_steps
        np.testing.assert_array_equal(demonstration.actions, episode.action)
        np.testing.assert_array_equal(demonstration.init_state, episode.init_state)
        np.testing.assert_array_equal(demonstration.fixture_poses, episode.fixture_poses)


@pytest.mark.parametrize(
    ("second", "images"),
    [
        ({"task": "libero_goal/1"}, [None, None]),
        ({}, [make_images("episode-0"), None]),
        ({}, [make_images("episode-0"), make_images("episode-1", size=16)]),
    ],
)
def test_what_does_not_belong_together_leaves_no_file(path, second, images):
    episodes = [make_trajectory(0), make_trajectory(1, **second)]
    with pytest.raises(DatasetError, match="One file holds one task and one size"):
        write_hdf5(path, zip(episodes, images, strict=True))
    with pytest.raises(DatasetError, match="no episode"):
        write_hdf5(path, [])
    assert list(path.parent.iterdir()) == []


def test_failures_are_written_without_reward(path):
    write_hdf5(path, [(replace(make_trajectory(), success=False), None)])
    with h5py.File(path) as file:
        assert not file["data/demo_0/rewards"][()].any()
        assert file["data/demo_0/dones"][-1] == 1
