from dataclasses import replace

import numpy as np
import pytest

from rl_datagen.core.errors import SimulatorError
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


@pytest.mark.parametrize("backend", ["exact", "stock"])
def test_a_physics_that_diverges_is_an_error_and_leaves_no_file(backend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene = load_scene(get_task("libero_object/0"), backend=backend)
    state = scene.shipped_state(0)
    broken = state.sim_state.copy()
    broken[1 + scene.model.nq :] = 1e12
    simulator = scene.simulator()
    with pytest.raises(SimulatorError):
        simulator.reset(replace(state, sim_state=broken))
    simulator.reset(state)
    assert np.isfinite(simulator.sim_state()).all()
    assert list(tmp_path.iterdir()) == []
