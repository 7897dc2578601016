"""What makes ``import rl_datagen`` cheap and its short names possible."""

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def after_import(name: str, function: Callable[[], None]) -> None:
    """Calls a function once a module is imported: now, if it is already.

    So that whoever does not use the module need not wait for it.
    """
    if name in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _After(name, function))


class _After(MetaPathFinder):
    """Finds a module as the others do, and has a function called after its code."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self._name, self._function = name, function
        self._is_asking = False  # the other finders, which is not to ask this one again

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns None for any other module."""
        if fullname != self._name or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = find_spec(fullname)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_call(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)
                self._function()

            spec.loader.exec_module = execute_and_call
        return spec


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
