"""One episode: the record that crosses every stage."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32

from rl_datagen.config.types import Source

CONTROL_FREQUENCY = 20  # Hz; LIBERO's control rate: one env step
NOOP_THRESHOLD = 1e-4  # on norm(action[:6]); OpenVLA's rule


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The record of one episode of ``T`` env steps.

    Row ``t`` of each array is what held when action ``t`` was taken. Resetting a simulator to
    ``init_state`` and ``fixture_poses``, settling it for ``num_settle_steps`` and applying the
    actions reproduces every ``sim_state`` bit for bit on the same versions.

    Attributes:
        episode_id: Unique and stable, such as ``"libero_goal-3-amplified-0-00012"``.
        task: Task id such as ``"libero_goal/3"``.
        source: What acted.
        seed: Seed of the episode's randomness (policy noise, drawn state).
        init_state_index: Shipped init state it started from; None for a newly drawn one.
        success: Whether the goal was reached at the last step.
        num_settle_steps: Env steps of settling between ``init_state`` and row 0.
        init_state: ``[1 + nq + nv]``: time (s), qpos, qvel before settling.
        fixture_poses: ``[Nf, 7]``: position (m) and quaternion (w, x, y, z) of each fixture.
        sim_state: time (s), qpos, qvel.
        action: 3 position (1.0 = 0.05 m), 3 axis-angle (1.0 = 0.5 rad), gripper (-1 open, +1
            close), each in [-1, 1].
        proprio: End-effector position (m), axis-angle (rad), gripper qpos (m).
        ee_pos: End-effector position, world frame, m.
        ee_quat: End-effector orientation, (x, y, z, w).
        gripper_qpos: Finger joints, m.
        joint_pos: Arm joints, rad.
        object_state: The task's objects, laid out as ``sim.observation`` documents.
        reward: 1 at the step that first reached the goal, else 0; demonstrations go on after it.
        decision: Index of the policy call the action came from.
    """

    episode_id: str
    task: str
    source: Source
    seed: int
    init_state_index: int | None
    success: bool
    num_settle_steps: int
    init_state: Float64[np.ndarray, " S"]
    fixture_poses: Float64[np.ndarray, "Nf 7"]
    sim_state: Float64[np.ndarray, "T S"]
    action: Float32[np.ndarray, "T 7"]
    proprio: Float32[np.ndarray, "T 8"]
    ee_pos: Float64[np.ndarray, "T 3"]
    ee_quat: Float64[np.ndarray, "T 4"]
    gripper_qpos: Float64[np.ndarray, "T 2"]
    joint_pos: Float64[np.ndarray, "T 7"]
    object_state: Float32[np.ndarray, "T Do"]
    reward: Float32[np.ndarray, " T"]
    decision: Int32[np.ndarray, " T"]

    def __len__(self) -> int:
        return len(self.action)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trajectory):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        )

    @property
    def num_steps_to_success(self) -> int:
        """Env steps until the goal was first reached; all of them if it never was."""
        reached = np.flatnonzero(self.reward)
        return int(reached[0]) + 1 if len(reached) else len(self)

    def to_success(self) -> "Trajectory":
        """Returns the part up to where the goal was first reached: what is comparable."""
        end, num = self.num_steps_to_success, len(self)
        if end == num:
            return self
        whole = {"init_state", "fixture_poses"}
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in whole}
        rows = {name: v[:end] for name, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **rows)

    @property
    def noops(self) -> Bool[np.ndarray, " T"]:
        """Which steps are no-ops."""
        return find_noops(self.action)


def find_noops(action: Float[np.ndarray, "T 7"]) -> Bool[np.ndarray, " T"]:
    """Marks the steps that move nothing.

    A no-op has norm(action[:6]) < 1e-4 and the gripper command of the last *kept* action; the
    first step is judged by the norm alone (OpenVLA's rule, arXiv:2406.09246).
    """
    still = np.linalg.norm(action[:, :6], axis=1) < NOOP_THRESHOLD
    noop = np.zeros(len(action), bool)
    kept_gripper = None
    for t, gripper in enumerate(action[:, 6]):
        noop[t] = still[t] and (kept_gripper is None or gripper == kept_gripper)
        if not noop[t]:
            kept_gripper = gripper
    return noop
