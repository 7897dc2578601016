import inspect
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from rl_datagen.core.imports import after_import, make_callable


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that nobody has imported, with a module in it."""
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("VALUE = 1\n")
    (folder / "part.py").write_text("VALUE = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_package"
    for name in ("some_package", "some_package.part"):
        sys.modules.pop(name, None)


def test_a_function_is_called_once_the_module_is_imported(package):
    calls, finders = [], list(sys.meta_path)
    after_import(package, lambda: calls.append(sys.modules[package].VALUE))
    import_module("json")
    assert find_spec(package) is not None  # whoever asks whether it is there does not import it
    assert calls == []
    import_module(f"{package}.part")
    assert calls == [1]
    assert sys.meta_path == finders
    after_import(package, lambda: calls.append(2))
    assert calls == [1, 2]


def test_a_module_that_is_missing_is_still_missing():
    after_import("nobody_has_this", lambda: None)
    try:
        with pytest.raises(ModuleNotFoundError, match="nobody_has_this"):
            import_module("nobody_has_this")
    finally:
        del sys.meta_path[0]


def test_a_package_is_called_and_is_still_a_package(package):
    def function(first: int, second: int = 2) -> int:
        """Adds."""
        return first + second

    module = import_module(package)
    make_callable(package, function)
    assert module(1) == 3
    assert module.VALUE == 1
    assert inspect.signature(module) == inspect.signature(function)
    assert import_module(f"{package}.part").VALUE == 2
