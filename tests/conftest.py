"""Synthetic episodes and small datasets, for every test."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter


def _make_trajectory(index=0, *, length=12, task="libero_goal/3", source="amplified", **changes):
    rng = np.random.default_rng(index)

    def draw(*shape, dtype=np.float64):
        return rng.normal(size=shape).astype(dtype)

    success = changes.get("success", True)
    reward = np.zeros(length, np.float32)
    reward[-1:] = success
    init_state, sim_state, poses, quat = draw(21), draw(length, 21), draw(2, 7), draw(length, 4)
    init_state[0] = 0
    sim_state[:, 0] = (10 + np.arange(length)) / 20
    poses[:, 3:] /= np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    ee_pos, gripper = draw(length, 3), np.clip(draw(length, 2), -1, 1)
    turn = Rotation.from_quat(quat).as_rotvec() if length else draw(0, 3)
    values = {
        "episode_id": f"{task.replace('/', '-')}-{source}-{index:05d}",
        "task": task,
        "source": source,
        "seed": index,
        "init_state_index": index % 50,
        "success": True,
        "num_settle_steps": 10,
        "init_state": init_state,
        "fixture_poses": poses,
        "sim_state": sim_state,
        "action": np.clip(draw(length, 7, dtype=np.float32), -1, 1),
        "proprio": np.hstack([ee_pos, turn, gripper]).astype(np.float32),
        "ee_pos": ee_pos,
        "ee_quat": quat,
        "gripper_qpos": gripper,
        "joint_pos": draw(length, 7),
        "object_state": draw(length, 5, dtype=np.float32),
        "reward": reward,
        "decision": (np.arange(length) // 8).astype(np.int32),
    }
    return Trajectory(**{**values, **changes})


@pytest.fixture(scope="session")
def make_trajectory():
    return _make_trajectory


@pytest.fixture
def dataset(tmp_path):
    """Three shards: two of one task, one of another; four episodes each."""
    path = tmp_path / "sound"
    with DatasetWriter(path, config={"seed": 0}, origin={"git": "abc"}) as writer:
        writer.append([_make_trajectory(i) for i in range(4)])
        writer.append([_make_trajectory(i, length=15) for i in range(4, 8)])
        writer.append([_make_trajectory(i, task="libero_object/0") for i in range(4)])
    return path
