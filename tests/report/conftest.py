"""Synthetic reaches that look like a pick-and-place, from the shaky to the smooth."""

import numpy as np
import pytest

from rl_datagen.data.trajectory import Trajectory

POINTS = np.array(
    [[-0.2, 0.0, 1.15], [0.02, -0.1, 0.95], [0.02, -0.1, 1.12], [0.0, 0.22, 1.1], [0.0, 0.22, 1.0]]
)


def _reach(length, tremor, seed):
    """Minimum-jerk segments through jittered points, with noise on top."""
    rng = np.random.default_rng(seed)
    points = POINTS + rng.normal(0, 0.02, POINTS.shape)
    s = np.linspace(0, len(points) - 1, length)
    i = np.minimum(s.astype(int), len(points) - 2)
    u = (s - i)[:, None]
    u = 10 * u**3 - 15 * u**4 + 6 * u**5
    path = points[i] + u * (points[i + 1] - points[i])
    return path + rng.normal(0, tremor, path.shape)


def _make_episode(source, seed, *, length=150, tremor=2e-4, task="libero_object/0", still=0):
    path = _reach(length, tremor, seed)
    action = np.zeros((length, 7), np.float32)
    action[:, :3] = np.clip(np.gradient(path, axis=0) / 0.05 * 3, -1, 1)
    action[:, 6] = np.where(np.arange(length) < length // 3, -1, 1)
    if still:
        action[-still:, :6] = 0
    reward = np.zeros(length, np.float32)
    reward[-1] = 1
    zeros = np.zeros((length, 8))
    upright = np.tile([0.0, 0.0, 0.0, 1.0], (length, 1))
    state = np.zeros((length, 8))
    state[:, 0] = (10 + np.arange(length)) / 20  # s
    return Trajectory(
        episode_id=f"{task.replace('/', '-')}-{source}-{seed:05d}",
        task=task,
        source=source,
        seed=seed,
        init_state_index=None,
        success=True,
        num_settle_steps=10,
        init_state=zeros[0],
        fixture_poses=np.array([[0.0, 0, 0, 1, 0, 0, 0]]),
        sim_state=state,
        action=action,
        proprio=np.hstack([path, zeros[:, :5]]).astype(np.float32),
        ee_pos=path,
        ee_quat=upright,
        gripper_qpos=zeros[:, :2],
        joint_pos=zeros[:, :7],
        object_state=zeros.astype(np.float32),
        reward=reward,
        decision=(np.arange(length) // 8).astype(np.int32),
    )


@pytest.fixture(scope="session")
def make_episode():
    return _make_episode
