"""What makes the short names of ``import rl_datagen`` possible."""

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def make_callable(package: str, function: Callable[..., Any]) -> None:
    """Lets a package be called like a function: ``rl_datagen.tasks()``.

    Python binds a package's name in the one above as soon as anybody imports it, in place of a
    function of the same name there.
    """

    def call(_: ModuleType, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__doc__ = function.__doc__
    module = sys.modules[package]
    module.__class__ = type("CallablePackage", (ModuleType,), {"__call__": call})
    module.__dict__["__signature__"] = inspect.signature(function)
