"""Which kernels numpy gets, in processes of their own: OpenBLAS looks once, when it is loaded."""

import os
import subprocess
import sys

import pytest

from rl_datagen.core import blas

KERNELS = (
    "from rl_datagen.core.blas import check_kernel, kernels; print(*kernels()); check_kernel()"
)


def run(code, **variables):
    environment = {k: v for k, v in os.environ.items() if k != blas.VARIABLE} | variables
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {KERNELS}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr.strip()


@pytest.fixture(autouse=True)
def _can_run_them():
    if not blas._can_run():
        pytest.skip("this processor has no AVX2")


def test_the_package_chooses_the_kernels_of_numpy_and_scipy():
    found, said = run("import rl_datagen, numpy, scipy.linalg")
    assert found in ("Haswell", "Zen")
    assert said == ""


def test_what_the_user_chose_stays_and_is_warned_of_once():
    found, said = run("import rl_datagen, numpy, scipy.linalg", OPENBLAS_CORETYPE="Nehalem")
    assert found == "Nehalem"
    assert said.count("only with machines of this kind") == 1
    assert "uses the kernels of Nehalem, not of Haswell" in said


def test_this_process_has_them_although_plugins_import_numpy():
    import numpy  # noqa: F401

    assert blas.kernels() <= {"Haswell", "Zen"}


def test_workers_elsewhere_are_told():
    assert blas.worker_environment() == {"OPENBLAS_CORETYPE": os.environ["OPENBLAS_CORETYPE"]}


def test_a_replay_that_left_its_record_says_what_may_be_tried():
    assert "OPENBLAS_CORETYPE=SkylakeX" in blas.on_rounding()
