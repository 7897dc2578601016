import subprocess
import sys

import pytest

from rl_datagen.core.errors import UserError
from rl_datagen.core.lock import lock
from rl_datagen.runtime.workdir import lock_folder

HOLDER = """
import sys, time
from pathlib import Path
from rl_datagen.core.lock import lock
with lock(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_holds_until_its_process_is_gone(tmp_path):
    path = tmp_path / "new" / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="come back later"):
            lock(path, "come back later")
        holder.kill()
        holder.wait()
        lock(path, "come back later").close()


def test_a_lock_is_free_once_it_is_closed(tmp_path):
    with lock(tmp_path / ".lock", "busy"):
        pass
    lock(tmp_path / ".lock", "busy").close()


def test_a_folders_lock_lies_beside_it(tmp_path):
    folder = tmp_path / "vlas" / "small"
    with lock_folder(folder), pytest.raises(UserError, match=r"at work in .*small.*another name"):
        lock_folder(folder)
    assert not folder.exists()
