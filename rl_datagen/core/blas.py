"""One kind of BLAS kernel on every machine, so that episodes replay bit for bit.

OpenBLAS, which numpy and scipy bring along, picks its kernels by the processor, and those for
AVX-512 add in another order than those for AVX2. The controller's small matrix products then
differ in their last bit, and so does all that follows; docs/decisions/0019 has the measurement.
"""

import logging
import os
from functools import cache
from pathlib import Path
from typing import Any, cast

logger = logging.getLogger(__name__)

VARIABLE, KERNEL = "OPENBLAS_CORETYPE", "Haswell"
"""What OpenBLAS reads when it is loaded, and kernels that any processor with AVX2 can run."""
_SAME = {"Haswell", "Zen"}  # one set of kernels under two names


def pin_kernel() -> None:
    """Chooses the kernels of this process and of those it starts, unless the user has chosen.

    It comes too late once numpy is imported; ``check_kernel`` then says so.
    """
    if _can_run():
        os.environ.setdefault(VARIABLE, KERNEL)


def worker_environment() -> dict[str, str]:
    """Returns the variables that workers on other machines need."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def kernels() -> set[str]:
    """Returns the kernels that the loaded copies of OpenBLAS use; none where there is none."""
    # It imports ctypes, which few commands need, and has no stubs.
    from threadpoolctl import threadpool_info  # pyright: ignore[reportMissingTypeStubs]

    libraries = cast("list[dict[str, Any]]", threadpool_info())
    ours = (each for each in libraries if each["internal_api"] == "openblas")
    return {each["architecture"] for each in ours if each.get("architecture")}


@cache
def check_kernel() -> None:
    """Warns once if episodes that this process makes replay only on machines of its kind."""
    others = kernels() - _SAME
    if others:
        logger.warning(
            "episodes made or replayed here agree bit for bit only with machines of this kind: "
            "OpenBLAS uses the kernels of %s, not of %s. Import rl_datagen before numpy, or set "
            "%s=%s before Python starts.",
            ", ".join(sorted(others)),
            KERNEL,
            VARIABLE,
            KERNEL,
        )


def on_rounding() -> str:
    """Returns what to say beside a replay that left its record."""
    now = ", ".join(sorted(kernels())) or "none"
    return (
        f"(OpenBLAS's kernels here: {now}. Data from before they were chosen, made on a processor "
        f"with AVX-512, replays with {VARIABLE}=SkylakeX; docs/decisions/0019.)"
    )


def _can_run() -> bool:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return {"avx2", "fma"} <= set(flags.split())
