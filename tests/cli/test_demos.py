import json

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import ConfigError, UserError


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
