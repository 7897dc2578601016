"""MuJoCo's own batched stepping of a recorded episode; ``peers.py`` starts it.

Needs NumPy and MuJoCo only, so that any release can be measured. Reads folders, one a line, and
answers each with a line of JSON: the CPU time of ``mujoco.rollout`` over the recorded controls, and
how far its end is from the recorded one.
"""

import json
import sys
import time
from pathlib import Path

import mujoco
import numpy as np
from mujoco import rollout

_MODELS: dict[Path, mujoco.MjModel] = {}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run(Path(line.strip()))), flush=True)


def run(folder: Path) -> dict:
    block = np.load(folder / "block.npz")
    model = load(folder / "model.xml")
    for name in ("body_pos", "body_quat"):
        getattr(model, name)[:] = block[name]
    data = mujoco.MjData(model)
    data.time, data.qpos[:], data.qvel[:] = block["state"][0], *split(block["state"], model)
    data.qacc_warmstart[:] = block["warmstart"]
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, state, kind)
    arguments = (model, data, state[None], block["control"][None])
    options = {"initial_warmstart": block["warmstart"][None]}
    started = time.process_time()
    states, _ = rollout.rollout(*arguments, **options)
    spent = time.process_time() - started
    qpos = states[0, -1, 1 : 1 + model.nq]
    error = float(np.abs(qpos - block["end"][1 : 1 + model.nq]).max())
    return {"cpu_s": spent, "error": error, "version": mujoco.__version__}


def load(path: Path) -> mujoco.MjModel:
    if path not in _MODELS:
        _MODELS.clear()
        _MODELS[path] = mujoco.MjModel.from_xml_path(str(path))
    return _MODELS[path]


def split(state: np.ndarray, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    return state[1 : 1 + model.nq], state[1 + model.nq : 1 + model.nq + model.nv]


if __name__ == "__main__":
    main()
