"""Compilation of this package's functions by numba."""

import inspect
from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

from rl_datagen.core.numba_cache import find_numba_cache

find_numba_cache()

_Function = TypeVar("_Function", bound=Callable)


def compiled(function: _Function) -> _Function:
    """Compiles a function with numba: cached on disk, run without the GIL.

    Tests may wrap every function in a check of its annotations; what is compiled is the function
    inside.
    """
    return cast("_Function", njit(cache=True, nogil=True)(inspect.unwrap(function)))
