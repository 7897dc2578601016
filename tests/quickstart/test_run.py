import pytest

from rl_datagen.config import load_config
from rl_datagen.core.errors import ConfigError
from rl_datagen.quickstart.run import Run


def make_run(tmp_path, *settings):
    return Run(load_config([f"output_dir={tmp_path}", "name=chain", *settings]), progress=None)


def test_a_folder_of_another_configuration_is_refused_with_the_difference(tmp_path):
    make_run(tmp_path, "algo.lr=1e-4").claim()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"algo\.lr is 0\.0001 there and 0\.0002 here.*--fresh"):
        make_run(tmp_path, "algo.lr=2e-4").claim()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_the_same_configuration_continues(tmp_path):
    first = make_run(tmp_path)
    first.claim()
    first.mark("demonstrations", {"episodes": 3})
    again = make_run(tmp_path)
    again.claim()
    assert not again.finished("demonstrations")  # its marker is there, its dataset is not
    again.demos.mkdir(parents=True)
    assert again.finished("demonstrations")
    assert not again.finished("dppo")
    assert again.summary("demonstrations") == {"episodes": 3}


def test_clearing_deletes_this_run_and_no_other(tmp_path):
    run = make_run(tmp_path)
    other = Run(load_config([f"output_dir={tmp_path}", "name=other"]), progress=None)
    for each in (run, other):
        each.claim()
        each.dataset.mkdir(parents=True)
    run.clear()
    assert not run.folder.exists()
    assert not run.dataset.exists()
    assert other.folder.exists()
    assert other.dataset.exists()
