import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_datagen.core import numba_cache
from rl_datagen.core.errors import MachineError
from rl_datagen.core.numba_cache import VARIABLE, find_numba_cache


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home that is a file, which not even root can write into, and a temporary folder."""
    path = tmp_path / "home"
    path.write_text("")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    return path


@pytest.mark.parametrize("wanted", ["", "home/cache"])
def test_without_a_home_compiled_code_goes_to_a_folder_of_this_user_alone(
    home, tmp_path, monkeypatch, wanted
):
    monkeypatch.setenv(VARIABLE, wanted and str(tmp_path / wanted))
    find_numba_cache()
    folder = Path(os.environ[VARIABLE])
    assert folder.parent == tmp_path / "tmp"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert str(folder) == sys.modules["numba"].config.CACHE_DIR
    find_numba_cache()
    assert os.environ[VARIABLE] == str(folder)


def test_a_home_or_a_folder_that_was_asked_for_is_left_alone(home, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    find_numba_cache()
    assert os.environ[VARIABLE] == str(tmp_path / "mine")
    monkeypatch.setenv(VARIABLE, "")
    home.unlink()
    home.mkdir()
    find_numba_cache()
    assert os.environ[VARIABLE] == ""
    assert list(home.iterdir()) == []


def test_a_folder_that_others_may_write_is_not_trusted(home, tmp_path):
    prepared = tmp_path / "tmp" / f"rl_datagen-numba-{os.getuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)
    find_numba_cache()
    assert os.environ[VARIABLE].startswith(f"{tmp_path}/tmp/rl_datagen-numba-")
    assert os.environ[VARIABLE] != str(prepared)


def test_a_machine_without_any_folder_is_one_sentence(home, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(home))
    with pytest.raises(MachineError, match=f"Set {VARIABLE} to a folder"):
        find_numba_cache()


def test_a_user_without_a_home_can_compile(tmp_path):
    """The installation is another's too: numba may not look beside the source."""
    (tmp_path / "home").write_text("")
    program = (
        "from numba.core import caching\n"
        "caching.InTreeCacheLocator.from_function = classmethod(lambda *_: None)\n"
        "import rl_datagen.sim.jit\n"
        "import os; print(os.environ['NUMBA_CACHE_DIR'])\n"
        "from rl_datagen.sim.goal import *; import robosuite.utils.transform_utils\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in (VARIABLE, "XDG_CACHE_HOME")}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path}/rl_datagen-numba-")


def test_what_is_above_a_folder_that_is_not_there_decides(tmp_path):
    assert numba_cache._can_be_written(str(tmp_path / "a" / "b"))
    (tmp_path / "file").write_text("")
    assert not numba_cache._can_be_written(str(tmp_path / "file" / "b"))
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not numba_cache._can_be_written(str(tmp_path / "link" / "b"))
