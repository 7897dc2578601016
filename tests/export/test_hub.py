"""Datasets to the Hub and back, against a local stand-in of its HTTP API."""

import pytest
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.data.compact import compact
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.export import export_lerobot
from rl_datagen.export.hub import pull_dataset, push_dataset
from rl_datagen.runtime import hub as hub_module
from tests.export.test_job import digests
from tests.hub_server import serve
from tests.told import Told

# Of huggingface_hub 2.4's own upload.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "lab/goal"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve(monkeypatch, tmp_path / "cache") as started:
        yield started


def run(*words):
    return CliRunner().invoke(app, ["dataset", *map(str, words)])


def test_a_dataset_comes_back_with_its_card_and_every_byte(hub, rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "_FILES_PER_COMMIT", 3)
    told = Told()
    url = push_dataset(rendered, REPO, progress=told)
    assert url.endswith("/datasets/lab/goal")
    files = hub.files(f"datasets/{REPO}")
    names = {entry.path for entry in read_manifest(rendered).files()}
    assert set(files) == {*names, "README.md", "manifest.json"}
    assert (told.totals, told.done) == ([len(files)], len(files))
    *before, last = hub.repos[f"datasets/{REPO}"]["commits"]
    assert all("manifest.json" not in commit for commit in before)
    assert b"license: cc-by-4.0" in last["README.md"]
    assert b"rl_datagen" in last["README.md"]
    pulled = run("pull", REPO, tmp_path / "back")
    assert pulled.exception is None
    verify(tmp_path / "back").check()
    assert {n: digests(rendered)[n] for n in files} == digests(tmp_path / "back")
    assert not (tmp_path / ".back.pull").exists()


def test_a_second_push_sends_nothing_again_and_takes_stale_files_away(hub, rendered, tmp_path):
    push_dataset(rendered, REPO)
    uploads = len([path for method, path in hub.requests if method == "PUT"])
    hub.files(f"datasets/{REPO}")["shards/old.parquet"] = b"of an earlier dataset"
    hub.files(f"datasets/{REPO}")["mine.txt"] = b"not of the dataset"
    push_dataset(rendered, REPO)
    assert len([path for method, path in hub.requests if method == "PUT"]) == uploads
    assert "shards/old.parquet" not in hub.files(f"datasets/{REPO}")
    assert "mine.txt" in hub.files(f"datasets/{REPO}")
    pull_dataset(f"hf://datasets/{REPO}", tmp_path / "back")
    assert not (tmp_path / "back" / "mine.txt").exists()


def test_an_export_to_lerobot_has_the_tag_that_lerobot_looks_for(hub, rendered, tmp_path):
    export_lerobot(rendered, tmp_path / "v30", num_workers=1)
    assert run("push", tmp_path / "v30", REPO, "--private").exception is None
    repo = hub.repos[f"datasets/{REPO}"]
    assert (list(repo["tags"]), repo["private"]) == (["v3.0"], True)
    push_dataset(tmp_path / "v30", REPO)
    assert repo["tags"]["v3.0"] == len(repo["commits"]) - 1
    pull_dataset(f"{REPO}@v3.0", tmp_path / "back")
    assert digests(tmp_path / "back") == digests(tmp_path / "v30")


def test_a_compact_dataset_comes_back(hub, rendered, tmp_path):
    compact(rendered, tmp_path / "small")
    push_dataset(tmp_path / "small", REPO)
    pull_dataset(REPO, tmp_path / "back")
    assert {n for n in digests(tmp_path / "back") if n.endswith("parquet")} == {
        n for n in digests(tmp_path / "small") if n.endswith("parquet")
    }


def test_what_is_damaged_on_the_way_never_appears(hub, rendered, tmp_path):
    push_dataset(rendered, REPO)
    name = next(n for n in hub.files(f"datasets/{REPO}") if n.startswith("images/"))
    content = hub.files(f"datasets/{REPO}")[name]
    hub.changed[name] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(UserError, match=r"images/.* of hf://datasets/lab/goal.* is damaged"):
        pull_dataset(REPO, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    hub.changed.clear()
    pull_dataset(REPO, tmp_path / "back")  # resumes
    verify(tmp_path / "back").check()


def test_what_was_damaged_before_it_was_listed_is_found_by_the_manifest(hub, rendered, tmp_path):
    push_dataset(rendered, REPO)
    files = hub.files(f"datasets/{REPO}")
    name = next(n for n in files if n.startswith("shards/"))
    files[name] = files[name][:-1] + b"!"
    with pytest.raises(DatasetError, match=r"shards/.* is damaged: its SHA-256"):
        pull_dataset(REPO, tmp_path / "back")
    del files[name]
    with pytest.raises(DatasetError, match=r"lacks 1 files of its manifest, shards/"):
        pull_dataset(REPO, tmp_path / "other")


@pytest.mark.parametrize("path", ["../../evil.py", "/etc/evil", "a/../../evil", "a\\evil"])
def test_a_listing_that_leads_out_of_the_folder_is_refused(hub, rendered, tmp_path, path):
    push_dataset(rendered, REPO)
    hub.listed["README.md"] = path
    with pytest.raises(UserError, match=r"is refused: it lists a file .*not a path below"):
        pull_dataset(REPO, tmp_path / "in" / "back")
    assert not list(tmp_path.rglob("evil*"))


def test_one_paragraph_for_each_thing_that_is_wrong(hub, rendered, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"There is no repository hf://datasets/lab/none.*HF_TOKEN"):
        pull_dataset("lab/none", tmp_path / "back")
    with pytest.raises(UserError, match="may not write to hf://datasets/other/goal"):
        push_dataset(rendered, "other/goal")
    push_dataset(rendered, REPO)
    with pytest.raises(UserError, match="has no revision 'v9'"):
        pull_dataset(f"{REPO}@v9", tmp_path / "back")
    for name in ("goal", "../goal", "lab/", "https://x/y"):
        with pytest.raises(UserError, match="is no repository of the Hub"):
            pull_dataset(name, tmp_path / "back")
    with pytest.raises(DatasetError, match="is no dataset: it has neither manifest"):
        push_dataset(tmp_path, REPO)
    with pytest.raises(UserError, match="exists already"):
        pull_dataset(REPO, rendered)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match=r"asks who you are.*hf auth login"):
        push_dataset(rendered, "lab/new")


def test_offline_is_said(rendered, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nothing listens
    done = run("pull", REPO, tmp_path / "back")
    assert isinstance(done.exception, UserError)
    assert "http://127.0.0.1:9 cannot be reached" in str(done.exception)
    with pytest.raises(UserError, match="cannot be reached"):
        push_dataset(rendered, REPO)
