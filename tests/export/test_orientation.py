"""Which way up LIBERO's own frames are, seen through LIBERO's own environment."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rl_datagen.core.errors import MachineError
from rl_datagen.export.orientation import mirrored
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

SIZE = 64
# In a process of its own: robosuite chooses its GL context when it is imported, and this package
# imports it without one.
LIBERO = """
import sys
from pathlib import Path
import numpy as np
from libero.libero import envs
bddl, size, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
path = Path(envs.__file__).parents[1] / "bddl_files" / bddl
env = envs.OffScreenRenderEnv(bddl_file_name=str(path), camera_heights=size, camera_widths=size)
env.reset()
frames = env.set_init_state(np.load(folder / "state.npy"))
np.save(folder / "agentview.npy", frames["agentview_image"])
np.save(folder / "wrist.npy", frames["robot0_eye_in_hand_image"])
env.close()
"""


@pytest.mark.slow
@pytest.mark.sim
def test_turned_frames_of_libero_are_our_images_mirrored(tmp_path):
    scene = load_scene(get_task("libero_object/0"), appearance="mujoco")  # as this MuJoCo draws
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), 0)
    try:
        ours = simulator.images(SIZE)
    except MachineError as error:
        pytest.skip(str(error))
    np.save(tmp_path / "state.npy", simulator.sim_state())
    bddl = f"{scene.task.suite}/{scene.task.name}.bddl"
    command = [sys.executable, "-W", "ignore", "-c", LIBERO, bddl, str(SIZE), str(tmp_path)]
    environment = {"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "egl", **os.environ}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=200)
    for name in ("agentview", "wrist"):
        turned = np.rot90(np.load(tmp_path / f"{name}.npy"), 2).astype(int)
        candidates = {
            "mirrored": mirrored(ours[name][None])[0],
            "as it is": ours[name],
            "upside down": ours[name][::-1],
            "turned": ours[name][::-1, ::-1],
        }
        distance = {kind: np.abs(turned - image).mean() for kind, image in candidates.items()}
        assert min(distance, key=lambda kind: distance[kind]) == "mirrored", distance
        assert distance["mirrored"] < 2, distance
