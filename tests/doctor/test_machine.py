import pytest

from rl_datagen.doctor import machine
from rl_datagen.tasks.files import libero_folder

pytestmark = pytest.mark.sim


@pytest.mark.slow
def test_this_machine_has_everything_and_the_render_is_real():
    findings = {finding.what: finding for finding in machine.examine()}
    assert {"Python", "PyTorch", "MuJoCo", "LIBERO", "rendering", "Ray", "disk"} <= set(findings)
    assert [finding for finding in findings.values() if not finding.ok] == []


def test_a_missing_gl_library_is_found_and_the_remedy_named(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    monkeypatch.setattr(machine, "_RENDER", _WITHOUT_GL + machine._RENDER)
    (finding,) = [f for f in machine.examine() if f.what == "rendering"]
    assert not finding.ok
    assert "apt-get install" in finding.found


# Hides every GL library of this machine from the process that tries to render.
_WITHOUT_GL = """
import ctypes, ctypes.util
find, load = ctypes.util.find_library, ctypes.CDLL
is_gl = lambda name: any(word in str(name).lower() for word in ("egl", "osmesa", "libgl", "opengl"))
ctypes.util.find_library = lambda name: None if is_gl(name) else find(name)
class CDLL(load):
    def __init__(self, name, *args, **kwargs):
        if is_gl(name):
            raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *args, **kwargs)
ctypes.CDLL = CDLL
"""


def test_where_libero_is_read_from_is_said_and_what_is_not_read(monkeypatch):
    monkeypatch.setenv("LIBERO_CONFIG_PATH", "/nowhere")
    found = machine._libero()
    assert f"files of all 130 tasks in {libero_folder()}" in found
    assert "LIBERO_CONFIG_PATH=/nowhere is not read" in found
