import json

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.demos import download
from rl_datagen.demos.download import RemoteFile


def run(*arguments):
    return CliRunner().invoke(app, ["demos", *arguments])


@pytest.mark.sim
def test_import_prints_a_table_or_json(tmp_path):
    settings = ["task=libero_object/0", f"output_dir={tmp_path}"]
    listed = json.loads(run("import", "bundled", *settings, "--json").stdout)
    assert listed["tasks"] == [
        {"task": "libero_object/0", "demonstrations": 1, "succeeded": 1, "problems": []}
    ]
    assert listed["dataset"] == str(tmp_path / "demos" / "human")
    printed = run("import", *settings).stdout
    assert "libero_object/0" in printed
    assert "1 of 1 demonstrations succeed" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("task=libero_gaol",), "Did you mean 'libero_goal'"),
        (("on_error=ignore",), "on_error='ignore'"),
        (("on_eror=skip",), "Did you mean 'on_error'"),
        (("no/such/folder",), "does not exist"),
    ],
)
def test_bad_input_is_named(arguments, message):
    error = run("import", *arguments).exception
    assert isinstance(error, ConfigError | UserError)
    assert message in str(error)


def test_download_shows_size_and_licence_and_fetches_only_when_told(tmp_path, monkeypatch):
    fetched = []
    file = RemoteFile("libero_goal/a_demo.hdf5", 2_000_000_000)
    monkeypatch.setattr(download, "list_remote", lambda suites: [file] * len(suites))
    monkeypatch.setattr(download, "download", lambda *arguments: fetched.append(arguments))
    shown = run("download", "libero_goal", "--folder", str(tmp_path)).stdout
    assert "1 files, 2.0 GB" in shown
    assert "CC BY 4.0" in shown
    assert "Nothing was fetched" in shown
    assert fetched == []
    run("download", "libero_goal", "--folder", str(tmp_path), "--yes")
    assert fetched == [(file, tmp_path)]
