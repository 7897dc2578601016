"""Every script and notebook in ``examples/`` runs, from a copy of what they read."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
pytestmark = [pytest.mark.sim, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The repository as an example sees it, where it may write."""
    (tmp_path / "release").symlink_to(ROOT / "release")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_there_are_as_many_as_the_page_says():
    page = (ROOT / "docs/python.md").read_text("utf-8")
    assert (len(SCRIPTS), len(NOTEBOOKS)) == (5, 2)
    for path in (*SCRIPTS, *NOTEBOOKS):
        assert f"](../examples/{path.name})" in page


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs(script, folder):
    source = script.read_text("utf-8")
    assert len(source.splitlines()) <= 60
    assert "about" in (ast.get_docstring(ast.parse(source)) or "")  # how long it takes
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, folder):
    content = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in content.cells)  # stored without outputs
    NotebookClient(content, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
