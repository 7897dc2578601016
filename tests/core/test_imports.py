import inspect
import sys
from importlib import import_module

import pytest

from rl_datagen.core.imports import make_callable


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
