"""No module of the package imports itself by way of others, imports inside functions counted."""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import rl_datagen


def imports_of(node: ast.AST) -> Iterator[str]:
    """Yields the dotted names that a module imports anywhere, save those for type checkers."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "relative imports are not followed"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for child in node.orelse:
            yield from imports_of(child)
    else:
        for child in ast.iter_child_nodes(node):
            yield from imports_of(child)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Returns which modules of the package in ``root`` each of its modules imports."""
    sources = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        sources[".".join(parts).removesuffix(".__init__")] = path.read_text()
    graph = {}
    for module, source in sources.items():
        names = set(imports_of(ast.parse(source)))
        # ``from a.b import c`` imports the module a.b.c, or c from the module a.b.
        imported = {name if name in sources else name.rpartition(".")[0] for name in names}
        graph[module] = imported & sources.keys()
    return graph


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Returns modules each of which imports the next, the first and last the same; or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def test_the_package_has_no_import_circle():
    circle = find_circle(import_graph(Path(rl_datagen.__file__).parent))
    assert not circle, "import circle: " + " -> ".join(circle)


@pytest.mark.parametrize(
    ("low", "circle"),
    [
        ("import numpy", []),
        ("def f():\n    from pack.sub.high import g", ["pack.low", "pack.sub.high"]),
        ("try:\n    import pack.sub.high\nexcept ImportError: ...", ["pack.low", "pack.sub.high"]),
        ("def f():\n    import pack.low", ["pack.low"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pack.sub.high", []),
        ("if TYPE_CHECKING: ...\nelse:\n    from pack import sub", ["pack.low", "pack.sub"]),
    ],
)
def test_circles_are_found_wherever_the_import_stands(tmp_path, low, circle):
    package = tmp_path / "pack"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "low.py").write_text(low)
    (package / "sub" / "__init__.py").write_text("from pack import low")
    (package / "sub" / "high.py").write_text("from pack.low import f")
    assert sorted(set(find_circle(import_graph(package)))) == circle


ROOT = Path(rl_datagen.__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


def test_the_page_has_the_layers_that_are_enforced():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    assert "```\n" + "\n".join(layers) + "\n```" in PAGE


def test_the_page_names_files_that_are_there_and_what_is_in_them():
    answers = PAGE.partition("## Which init states")[2]
    names = re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", answers)
    assert len(names) > 12
    for path, name in names:
        file = next((r / path for r in (ROOT / "rl_datagen", ROOT) if (r / path).exists()), None)
        assert file, path
        assert not name or re.search(rf"\b{name}\b", file.read_text()), f"{path}: {name}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/index.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index


def calls_of(tree: ast.AST, function: str) -> Iterator[ast.Call]:
    """Yields the calls of a function, which is given as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            yield node


@pytest.mark.parametrize("folder", ["rl_datagen", "tests", "benchmarks"])
def test_nobody_joins_a_cluster_that_happens_to_run(folder):
    """Without an address Ray joins whatever head runs here, or did until it was killed."""
    for path in (ROOT / folder).rglob("*.py"):
        for call in calls_of(ast.parse(path.read_text("utf-8")), "ray.init"):
            given = {keyword.arg for keyword in call.keywords}
            assert call.args or given & {"address", None}, f"{path}:{call.lineno}"
