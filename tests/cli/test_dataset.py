import json

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.manifest import read_manifest


def run(*arguments):
    return CliRunner().invoke(app, ["dataset", *map(str, arguments)])


def test_verify_and_info_print_the_content_hash(dataset):
    content = read_manifest(dataset).content_hash
    assert f"content {content}" in run("verify", dataset).stdout
    assert f"content {content}" in run("info", dataset).stdout
    assert json.loads(run("info", dataset, "--json").stdout)["content"] == content


def test_merge_prints_what_it_took(dataset, tmp_path):
    result = run("merge", tmp_path / "copy", f"{dataset}=1")
    assert f"{dataset}: 12 of 12 episodes" in result.stdout
    assert run("verify", tmp_path / "copy").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("merge", "out", "somewhere=much"), ConfigError, "the weight 'much' is not a number"),
        (("merge", "out", "nowhere"), DatasetError, "nowhere"),
        (("render", "nowhere"), DatasetError, "nowhere"),
        (("video", "nowhere"), DatasetError, "nowhere"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    result = run(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_a_video_of_an_unknown_episode_is_refused_with_the_nearest_name(dataset):
    name = read_episodes(dataset)["episode_id"][0].as_py()
    error = run("video", dataset, "--episode", f"{name}x").exception
    assert isinstance(error, DatasetError)
    assert f"holds no episode '{name}x'. Did you mean '{name}'" in str(error)
    assert not (dataset / "videos").exists()


def test_collect_needs_to_know_what_acts():
    result = CliRunner().invoke(app, ["collect"])
    assert isinstance(result.exception, ConfigError)
    assert "experts=campaign" in str(result.exception)
    result = CliRunner().invoke(app, ["collect", "expert=x"])
    assert "Did you mean 'experts'" in str(result.exception)
