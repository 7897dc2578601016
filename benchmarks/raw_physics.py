"""MuJoCo's own batched stepping of a recorded episode; ``peers.py`` starts it.

Needs NumPy and MuJoCo only, so that any release can be measured. Reads folders, one a line, and
answers each with a line of JSON: for ``mujoco.rollout`` and, where there is one, ``mujoco.batch``,
CPU time per simulation over the recorded controls, and how far its end is from the recorded one.
"""

import json
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
from mujoco import rollout

NUM_SIMULATIONS = 4  # of a batch, whose Python is paid once per physics step
_MODELS: dict[Path, mujoco.MjModel] = {}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(Path(line.strip()))), flush=True)


def run(folder: Path) -> dict:
    block = np.load(folder / "block.npz")
    model = load(folder / "model.xml")
    for name in ("body_pos", "body_quat"):
        getattr(model, name)[:] = block[name]
    peers = {"rollout": roll_out}
    if find_spec("mujoco.batch"):
        peers["batch"] = step_batch
    return {f"mujoco.{name} {mujoco.__version__}": peers[name](model, block) for name in peers}


def roll_out(model: mujoco.MjModel, block) -> dict:
    """One call for the whole block, which is open loop."""
    data = mujoco.MjData(model)
    data.time, data.qpos[:], data.qvel[:] = parts(block["state"], model)
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, state, kind)
    warm = {"initial_warmstart": block["warmstart"][None]}
    started = time.process_time()
    states, _ = rollout.rollout(model, data, state[None], block["control"][None], **warm)
    return found(time.process_time() - started, states[0, -1, 1 : 1 + model.nq], block)


def step_batch(model: mujoco.MjModel, block) -> dict:
    """A call per physics step, as a controller outside needs."""
    batch = import_module("mujoco.batch").Batch(model, NUM_SIMULATIONS, nthread=1)
    names = ("time", "qpos", "qvel", "qacc_warmstart")
    for name, value in zip(names, (*parts(block["state"], model), block["warmstart"]), strict=True):
        batch.bind(name)[...] = value
    control = batch.bind("ctrl")
    started = time.process_time()
    for torques in block["control"]:
        control[:] = torques
        batch.step()
    spent = (time.process_time() - started) / NUM_SIMULATIONS
    return found(spent, batch.bind("qpos")[0], block)


def found(seconds: float, qpos: np.ndarray, block) -> dict:
    error = np.abs(qpos - block["end"][1 : 1 + len(qpos)]).max()
    return {"cpu_s": seconds, "error": float(error)}


def load(path: Path) -> mujoco.MjModel:
    if path not in _MODELS:
        _MODELS.clear()
        _MODELS[path] = mujoco.MjModel.from_xml_path(str(path))
    return _MODELS[path]


def parts(state: np.ndarray, model: mujoco.MjModel) -> tuple[float, np.ndarray, np.ndarray]:
    """Returns time, qpos and qvel."""
    return state[0], state[1 : 1 + model.nq], state[1 + model.nq : 1 + model.nq + model.nv]


if __name__ == "__main__":
    main()
