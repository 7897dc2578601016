import hashlib

import pytest

from rl_datagen.core.errors import MachineError
from rl_datagen.tasks import TASKS, get_task
from rl_datagen.tasks import files as module
from rl_datagen.tasks.files import bddl_path, init_states_path, libero_folder, task_digests
from rl_datagen.tasks.perturbed import perturbed_suites


@pytest.fixture(autouse=True)
def _fresh():
    yield
    libero_folder.cache_clear()
    task_digests.cache_clear()


def test_every_task_has_its_files_and_a_digest_of_its_own():
    digests = task_digests()
    assert list(digests) == [*(task.id for task in TASKS), *perturbed_suites()]
    assert len(set(digests.values())) == len(digests)
    task = get_task("libero_goal/3")
    content = bddl_path(task).read_bytes() + init_states_path(task).read_bytes()
    assert digests[task.id] == hashlib.sha256(content).hexdigest()


def test_the_environment_does_not_move_the_files(monkeypatch, tmp_path):
    before = bddl_path(TASKS[0])
    (tmp_path / "config.yaml").write_text("bddl_files: /nowhere\ninit_states: /nowhere\n")
    monkeypatch.setenv("LIBERO_CONFIG_PATH", str(tmp_path))
    libero_folder.cache_clear()
    assert bddl_path(TASKS[0]) == before
    monkeypatch.setenv("LIBERO_CONFIG_PATH", "/nowhere/at/all")
    libero_folder.cache_clear()
    assert bddl_path(TASKS[0]) == before


def test_an_installation_without_its_files_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "libero_folder", lambda: tmp_path)
    for find in (bddl_path, init_states_path):
        with pytest.raises(MachineError, match=r"is missing\. Run `pip install --force-reinstall"):
            find(TASKS[0])
    task_digests.cache_clear()
    assert task_digests() is None


def test_a_machine_without_libero_can_still_read_and_write_datasets(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    libero_folder.cache_clear()
    task_digests.cache_clear()
    assert task_digests() is None
    with pytest.raises(MachineError, match="not installed"):
        libero_folder()
