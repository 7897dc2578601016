"""What is tried on an installation of LIBERO: the same in each."""

from pathlib import Path

import numpy as np

from rl_datagen.sim import Scene

IMAGE_SIZE = 128
DRAWN_INDICES = (0, 7)
"""The shipped init states that are drawn, before any physics."""


def make_trial(scene: Scene, actions: bool = True) -> dict[str, np.ndarray]:
    """Returns a task's trial, as arrays that need no package of ours to be read.

    Args:
        scene: The task's scene.
        actions: Whether physics is tried too, not images alone.
    """
    inits = [scene.shipped_state(index) for index in range(scene.num_init_states)]
    return {
        "task": np.array(f"{scene.task.suite}/{scene.task.name}"),
        "init_states": np.stack([init.sim_state for init in inits]),
        "fixtures": np.array(scene.fixtures),
        "fixture_poses": np.stack([init.fixture_poses for init in inits]),
        "actions": _actions() if actions else np.zeros((0, 7)),
        "drawn_indices": np.array(DRAWN_INDICES),
        "image_size": np.array(IMAGE_SIZE),
    }


def _actions() -> np.ndarray:
    """Twenty actions; NumPy promises that this old generator draws the same for ever."""
    return np.random.RandomState(0).uniform(-1, 1, (20, 7)).round(3)


def write_trial(trial: dict[str, np.ndarray], folder: Path) -> Path:
    """Writes a trial for another Python and returns its file."""
    path = folder / f"{str(trial['task']).replace('/', '-')}.npz"
    np.savez(path, **trial)  # pyright: ignore[reportArgumentType]
    return path
