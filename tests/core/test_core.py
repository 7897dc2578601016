import os
import pickle

import pytest

from rl_datagen import __version__
from rl_datagen.core.errors import SimulatorError, how_to_install
from rl_datagen.core.log import stderr_to
from rl_datagen.core.provenance import provenance
from rl_datagen.core.seeding import derive_seed
from rl_datagen.core.storage import atomic_path, sha256, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_of_a_known_text(tmp_path):
    write_text(tmp_path / "abc", "abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_seeds_depend_on_every_part_and_never_change():
    assert derive_seed(0, "collect", "libero_goal/3", 7) == 572921857
    assert derive_seed(0, "a", "bc") != derive_seed(0, "ab", "c")


def test_an_extra_is_installed_from_a_checkout_or_a_wheel():
    sentence = how_to_install("remote")
    assert "`pip install -e '.[remote]'` in a checkout" in sentence
    assert f"`pip install 'rl_datagen-{__version__}-py3-none-any.whl[remote]'`" in sentence


def test_provenance_names_the_versions_that_shape_a_result():
    assert provenance()["packages"]["mujoco"] == "3.3.7"


def test_native_output_goes_to_a_file_for_a_while(tmp_path, capfd):
    with stderr_to(tmp_path / "native.log"):
        os.write(2, b"inside\n")
    os.write(2, b"outside\n")
    assert capfd.readouterr().err == "outside\n"
    assert (tmp_path / "native.log").read_text() == "inside\n"


def test_a_simulator_error_keeps_its_coordinates_between_processes():
    error = SimulatorError("diverged", task="libero_goal/3", seed=7, step=41)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.task, copy.seed, copy.step) == ("libero_goal/3", 7, 41)
