import pytest

from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task


@pytest.fixture(scope="session")
def drawer_task():
    """Has movable objects, fixtures, drawers and a stove."""
    return get_task("libero_goal/0")


@pytest.fixture(scope="session")
def scene(drawer_task):
    return load_scene(drawer_task)


@pytest.fixture(scope="session")
def simulator(scene):
    return scene.simulator()


@pytest.fixture(scope="session")
def stock(drawer_task):
    return load_scene(drawer_task, "stock").simulator()
