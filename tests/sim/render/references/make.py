"""Writes digests of LIBERO's images as the published datasets have them: those of MuJoCo 3.3.2.

Run it with that release before any other on the path, from the repository's root::

    pip install --no-deps --target /tmp/mujoco332 mujoco==3.3.2
    PYTHONPATH=/tmp/mujoco332 python tests/sim/render/references/make.py

Each fifth task, both cameras, two shipped init states; MuJoCo's own renderer, nothing changed. A
digest holds for one GL only, which is written beside them.
"""

import hashlib
import json
from pathlib import Path

import mujoco

from rl_datagen.sim import CAMERAS, load_scene, memory, render
from rl_datagen.sim.render.stock import StockRenderer
from rl_datagen.tasks import select_tasks

DIGESTS = Path(__file__).with_name("mujoco332.json")
STATES, SIZE = (0, 7), 128


def digests(task, **settings) -> dict[str, str]:
    scene = load_scene(task, **settings)
    found = {}
    for state in STATES:
        simulator = scene.simulator()
        simulator.reset(scene.shipped_state(state), 0)
        qpos = simulator.sim_state()[1 : 1 + scene.model.nq]  # no physics: releases differ in it
        pose = render.Pose(qpos, simulator.init.fixture_poses, simulator._lamps_on)
        images = render.render(scene, tuple(CAMERAS), SIZE, SIZE, pose)
        for camera, image in images.items():
            found[f"{camera}-{state}"] = hashlib.sha256(image.tobytes()).hexdigest()
    return found


def gl() -> str:
    """Which GL draws, known once something was drawn."""
    from rl_datagen.sim.render import thread

    return thread._THREAD._call(_gl)


def _gl() -> str:
    from OpenGL import GL

    return " ".join(GL.glGetString(name).decode() for name in (GL.GL_RENDERER, GL.GL_VERSION))


def _make_context(self, width: int, height: int) -> mujoco.MjrContext:
    size = self._model.vis.global_
    size.offwidth, size.offheight = width, height
    return mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_150)


def main() -> None:
    assert mujoco.__version__ == "3.3.2", mujoco.__version__
    memory.trim = lambda: None  # needs a newer release, as do colour spaces
    StockRenderer._make_context = _make_context
    settings = {"appearance": "mujoco", "render_backend": "stock"}
    tasks = {task.id: digests(task, **settings) for task in list(select_tasks("all"))[::5]}
    body = {"mujoco": mujoco.__version__, "gl": gl(), "size": SIZE, "tasks": tasks}
    DIGESTS.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
