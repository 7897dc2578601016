"""Steps and draws LIBERO's own environments in whatever Python runs this file.

``rl-datagen doctor --fidelity --python OTHER`` runs it in an installation that may know nothing of
this package, so it imports nothing of it. It reads trials (``trial.py``), and prints a line of JSON
about the installation and one for each trial.
"""

# MuJoCo's bindings are compiled and untyped, and the other installation is not this one.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

MARK = "RECORD "
"""Precedes each record: LIBERO and robosuite print things of their own."""

NUM_SETTLE_STEPS = 10
CAMERAS = {"agentview": "agentview_image", "wrist": "robot0_eye_in_hand_image"}
_PHYSICS_STEPS = 250
_THUMBNAIL = 8


def main(tasks: list[str]) -> None:
    """Measures the trials whose files are named on stdin, a line each.

    Args:
        tasks: ``suite/name`` of each.
    """
    paths = sys.stdin
    with open(os.devnull) as sys.stdin:  # LIBERO asks questions when it is imported first
        say(describe_installation(tasks))
        for path in paths:
            trial = dict(np.load(path.strip()))
            try:
                record = measure(trial)
            except Exception as error:
                record = {"error": f"{type(error).__name__}: {error}"}
            say({"task": str(trial["task"])} | record)


def say(record: dict[str, Any]) -> None:
    """Prints a record."""
    sys.stdout.write(MARK + json.dumps(record) + "\n")
    sys.stdout.flush()


def describe_installation(tasks: list[str]) -> dict[str, Any]:
    """Returns versions and settings that decide what LIBERO's environments do."""
    import mujoco
    import robosuite
    from libero import libero
    from robosuite import macros

    return {
        "python": platform.python_version(),
        "mujoco": mujoco.__version__,
        "robosuite": robosuite.__version__,
        "libero": str(Path(libero.__file__).resolve().parent),
        "paths": {
            kind: str(Path(libero.get_libero_path(kind)).resolve())
            for kind in ("bddl_files", "init_states")
        },
        "image_convention": macros.IMAGE_CONVENTION,
        "task_order": _task_order(tasks),
    }


def _task_order(tasks: list[str]) -> dict[str, int | None] | str:
    """Returns the index that LIBERO's benchmark gives each ``suite/name``."""
    try:
        from libero.libero import benchmark
    except ImportError as error:  # it needs PyTorch
        return f"{type(error).__name__}: {error}"
    order: dict[str, int | None] = {}
    suites: dict[str, list[str]] = {}
    for task in tasks:
        suite, name = task.split("/")
        if suite not in suites:
            suites[suite] = benchmark.get_benchmark_dict()[suite]().get_task_names()
        order[task] = suites[suite].index(name) if name in suites[suite] else None
    return order


def measure(trial: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns what an installation makes of a trial."""
    from libero.libero import get_libero_path
    from libero.libero.envs import OffScreenRenderEnv

    suite, name = str(trial["task"]).split("/")
    bddl = Path(get_libero_path("bddl_files"), suite, f"{name}.bddl")
    size = int(trial["image_size"])
    env = OffScreenRenderEnv(
        bddl_file_name=str(bddl), camera_heights=size, camera_widths=size, ignore_done=True
    )
    model = env.sim.model._model
    images = {}
    for index in trial["drawn_indices"]:
        _start(env, trial, int(index))
        observation = env.set_init_state(trial["init_states"][index])
        for camera, key in CAMERAS.items():
            images[f"{camera}-{index}"] = describe_image(observation[key])
    gl = describe_gl()
    record: dict[str, Any] = {
        "bddl": digest_of_text(bddl),
        "init_states": digest_of_states(_init_states(suite, name)),
        "srgb_textures": count_srgb_textures(model),
        "gl": gl,
        "images": images,
    }
    if trial["actions"].size:
        settled, stepped = _act(env, trial)
        record |= {"settled": pack(settled), "stepped": pack(stepped)}
        ids = [model.body(str(body)).id for body in trial["fixtures"]]
        # The model is the environment's: nothing is stepped by it after this.
        moved = settle(model, trial["init_states"], ids, trial["fixture_poses"])
        record["moved"] = pack(moved, "<f2")
    env.close()
    return record


def _start(env: Any, trial: dict[str, np.ndarray], index: int) -> None:
    """Resets an environment and puts its fixtures, which no init state holds, where they belong."""
    np.random.seed(0)
    env.reset()
    model = env.sim.model._model
    for body, pose in zip(trial["fixtures"], trial["fixture_poses"][index]):  # noqa: B905
        body_id = model.body(str(body)).id
        model.body_pos[body_id], model.body_quat[body_id] = pose[:3], pose[3:]


def _act(env: Any, trial: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the joint positions after settling and after the trial's actions."""
    for name in CAMERAS.values():  # two images each env step are most of its time
        env.env.modify_observable(name, "enabled", False)
        env.env.modify_observable(name, "active", False)
    _start(env, trial, 0)
    env.set_init_state(trial["init_states"][0])
    for _ in range(NUM_SETTLE_STEPS):
        env.step([0.0] * 6 + [-1.0])
    settled = env.sim.data._data.qpos.copy()
    for action in trial["actions"]:
        env.step(action)
    return settled, env.sim.data._data.qpos.copy()


def _init_states(suite: str, name: str) -> np.ndarray:
    """Reads the stored init states: PyTorch's archive, or the one that needs no PyTorch."""
    from libero.libero import get_libero_path

    path = Path(get_libero_path("init_states"), suite, f"{name}.pruned_init")
    if not path.exists():
        archive = np.load(path.with_name(path.name + ".npz"))
        return archive[archive.files[0]]
    import torch

    return np.asarray(torch.load(path, weights_only=False))


# What follows is the arithmetic of a record, which the package's own simulators share.


def settle(
    model: Any, init_states: np.ndarray, fixture_ids: list[int], fixture_poses: np.ndarray
) -> np.ndarray:
    """Returns where (m) each free object gets to in the half second after each init state.

    Plain MuJoCo, with the arm held against gravity, so that nothing but the physics engine tells.
    """
    import mujoco

    data = mujoco.MjData(model)
    free = model.jnt_qposadr[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
    at = (free[:, None] + np.arange(3)).ravel()
    moved = np.zeros((len(init_states), len(at)))
    for number, state in enumerate(init_states):
        mujoco.mj_resetData(model, data)
        if len(fixture_ids):
            model.body_pos[fixture_ids] = fixture_poses[number][:, :3]
            model.body_quat[fixture_ids] = fixture_poses[number][:, 3:]
        data.qpos[:], data.qvel[:] = state[1 : 1 + model.nq], state[1 + model.nq :]
        mujoco.mj_forward(model, data)
        before = data.qpos[at].copy()
        for _ in range(_PHYSICS_STEPS):
            data.ctrl[:7] = data.qfrc_bias[:7]
            mujoco.mj_step(model, data)
        moved[number] = data.qpos[at] - before
    return moved


def describe_image(image: np.ndarray) -> dict[str, str]:
    """Returns an image's digest, and its thumbnail of 8 by 8 for saying how another differs."""
    side = len(image) // _THUMBNAIL
    blocks = image.reshape(_THUMBNAIL, side, _THUMBNAIL, side, 3)
    thumbnail = blocks.mean((1, 3)).round().astype(np.uint8)
    return {
        "digest": hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16],
        "thumbnail": base64.b64encode(thumbnail.tobytes()).decode(),
    }


def describe_gl() -> str:
    """Returns which GL draws; its context must be current."""
    from OpenGL import GL

    return " ".join(GL.glGetString(name).decode() for name in (GL.GL_RENDERER, GL.GL_VERSION))


def count_srgb_textures(model: Any) -> int:
    """Returns how many textures this MuJoCo reads as sRGB: none before 3.3.3."""
    import mujoco

    if not hasattr(model, "tex_colorspace"):
        return 0
    return int((model.tex_colorspace == int(mujoco.mjtColorSpace.mjCOLORSPACE_SRGB)).sum())


def digest_of_text(path: Path) -> str:
    """Returns a digest of a file's words: line ends and indentation do not count."""
    return hashlib.sha256(" ".join(path.read_text("utf-8").split()).encode()).hexdigest()[:16]


def digest_of_states(states: np.ndarray) -> dict[str, str]:
    """Returns a digest of init states as they come, and one for which their order is nothing."""
    rows = [np.ascontiguousarray(row, np.float64).tobytes() for row in states]
    return {
        "ordered": hashlib.sha256(b"".join(rows)).hexdigest()[:16],
        "sorted": hashlib.sha256(b"".join(sorted(rows))).hexdigest()[:16],
    }


def pack(values: np.ndarray, precision: str = "<f4") -> str:
    """Returns numbers as text."""
    return base64.b64encode(np.asarray(values, precision).tobytes()).decode()


if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder, whose modules are no one's business here
    os.environ.setdefault("MUJOCO_GL", "egl")
    main(sys.argv[1:])
