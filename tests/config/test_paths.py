import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.config import (
    AmplifyConfig,
    CampaignConfig,
    CollectionConfig,
    Config,
    EvaluateConfig,
    ImportConfig,
    PaperConfig,
    VlaConfig,
    load_config,
)
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.paths import expand_folder
from rl_datagen.core.storage import Storage

_PATHS = [
    *((model, "output_dir") for model in (Config, CampaignConfig, PaperConfig)),
    *((model, "output_dir") for model in (AmplifyConfig, ImportConfig)),
    (CampaignConfig, "campaign.storage"),
    (CampaignConfig, "campaign.mlflow_uri"),
    (AmplifyConfig, "demonstrations"),
    (CollectionConfig, "experts"),
    (EvaluateConfig, "policy"),
    (PaperConfig, "human.demonstrations"),
    (VlaConfig, "datasets"),
    (VlaConfig, "model.language_encoder"),
    (VlaConfig, "mlflow_uri"),
]


def _load(model, *arguments):
    needed = {VlaConfig: ["datasets=x"], CollectionConfig: ["experts=x"]}
    needed[EvaluateConfig] = ["policy=x"]
    return load_config([*needed.get(model, []), *arguments], model=model)


def _value(config, path):
    for key in path.split("."):
        config = getattr(config, key)
    return config[0].path if isinstance(config, tuple) else config


@pytest.mark.parametrize(("model", "path"), _PATHS)
def test_a_home_folder_is_the_same_for_every_library(model, path, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _value(_load(model, f"{path}=~/x"), path) == f"{tmp_path}/x"
    assert _value(_load(model, f"{path}=here/x"), path) == "here/x"
    with pytest.raises(ConfigError, match=r"~nobody.* is not known here.*\./~nobody"):
        _load(model, f"{path}=~nobody-has-this-name/x")


@pytest.mark.parametrize("uri", ["s3://bucket/~/x?region=r", "gs://bucket/x", "file:///tmp/~/x"])
def test_a_uri_is_left_alone_where_one_is_allowed_and_refused_elsewhere(uri):
    assert _load(CampaignConfig, f"campaign.storage={uri}").storage == uri
    assert _load(CollectionConfig, f"experts={uri}").experts == uri
    for model, path in _PATHS:
        if path in ("output_dir", "datasets"):
            with pytest.raises(ConfigError, match="a folder on this machine"):
                _load(model, f"{path}={uri}")


@pytest.mark.parametrize("path", ["$HOME/x", "${HOME}/x", "a/$USER"])
def test_a_variable_that_nobody_replaces_is_refused(path):
    for key in ("output_dir", "campaign.storage"):
        with pytest.raises(ConfigError, match=r"is not replaced here\. Write the path out"):
            _load(CampaignConfig, f"{key}={path}")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("abfss://c@account.dfs.core.windows.net/x", r"abfss:// are not supported.*s3://, gs://"),
        ("ftp://host/x", r"ftp:// are not supported.*file://"),
        ("S3://bucket/x", r"S3:// are not supported"),
        ("outputs/a*b", r"has a \*.*Choose a folder without it"),
        ("outputs/what?", r"has a \?"),
        ("file:///tmp/a?b", r"has a \?"),
    ],
)
def test_a_storage_that_libraries_read_differently_is_one_sentence(uri, said):
    with pytest.raises(ConfigError, match=rf"Setting campaign\.storage.*{said}"):
        _load(CampaignConfig, f"campaign.storage='{uri}'")
    with pytest.raises(UserError, match=said):
        Storage(uri)


def test_a_storage_at_home_is_written_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Storage("~/x").write_text("a", "text")
    assert Path(tmp_path, "home", "x", "a").read_text() == "text"
    assert not Path("~").exists()


@given(st.text(alphabet="~/.$a-_? é", min_size=1))
def test_any_path_is_refused_or_means_one_thing(path):
    try:
        found = expand_folder(path)
    except ValueError:
        return
    assert os.path.expanduser(found) == os.path.expandvars(found) == found
    assert expand_folder(found) == found
