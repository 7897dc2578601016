"""Experts to the Hub and back, against a local stand-in of its HTTP API."""

import json

import pytest
from typer.testing import CliRunner

import rl_datagen as rd
from rl_datagen.cli import app
from rl_datagen.core.errors import UserError
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.policy.expert import load_policy
from rl_datagen.policy.hub import pull_experts, push_experts
from rl_datagen.policy.release import pack, release_folder
from tests.hub_server import serve

# Of huggingface_hub 2.4's own upload.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "lab/experts"
RELEASED = ("libero_goal/5", "libero_goal/0")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve(monkeypatch, tmp_path / "cache") as started:
        yield started


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "packed"
    for name in RELEASED:
        released = (release_folder() / "experts" / name).iterdir()
        pack({path.name: path.read_bytes() for path in released}, folder / name)
    return folder


def weights(folder):
    return load_policy(folder)[0].state_dict()


def test_experts_come_back_checked_and_one_is_loaded_by_its_address(hub, packed, tmp_path):
    done = CliRunner().invoke(app, ["expert", "push", str(packed), REPO])
    assert done.exception is None
    assert done.stdout.endswith("/lab/experts\n")
    files = hub.files(REPO)
    names = ("config.yaml", "norm_stats.json", "weights.safetensors")
    assert set(files) == {"README.md", *(f"{e}/{name}" for e in RELEASED for name in names)}
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "| `libero_goal/0` | `libero_goal/0` |" in card
    assert 'rd.load_expert("hf://lab/experts/libero_goal/0")' in card
    pull_experts(f"{REPO}", tmp_path / "back")
    for name in RELEASED:
        found, expected = weights(tmp_path / "back" / name), weights(packed / name)
        assert all((found[key] == value).all() for key, value in expected.items())
    expert = rd.load_expert("hf://lab/experts/libero_goal/5")
    assert expert.task == "libero_goal/5"
    before = len(hub.requests)
    rd.load_expert("hf://lab/experts/libero_goal/5")
    assert all(method == "HEAD" for method, _ in hub.requests[before:])  # nothing is sent again


def test_a_single_expert_is_at_the_top_and_says_nothing_of_this_machine(hub, packed, tmp_path):
    folder = packed / "libero_goal/5"
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "output_dir: /home/somebody/outputs\n")
    push_experts(folder, REPO, private=True)
    assert hub.repos[REPO]["private"]
    sent = parse_yaml(hub.files(REPO)["config.yaml"], "config.yaml")
    assert "output_dir" not in sent
    assert rd.load_expert("hf://lab/experts").task == "libero_goal/5"
    pull_experts("hf://lab/experts@main", tmp_path / "back")
    assert {path.name for path in (tmp_path / "back").iterdir()} >= {"README.md", "config.yaml"}


def test_a_damaged_expert_is_neither_pushed_nor_pulled(hub, packed, tmp_path):
    push_experts(packed, REPO)
    name = "libero_goal/5/norm_stats.json"
    stats = json.loads((packed / name).read_text())
    stats["action"]["low"][0] -= 0.01
    damaged = json.dumps(stats).encode()  # valid, and not what was packed
    hub.files(REPO)[name] = damaged
    with pytest.raises(UserError, match=r"another checksum of 'norm_stats\.json' beside it"):
        pull_experts(REPO, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    (packed / name).write_bytes(damaged)
    with pytest.raises(UserError, match="another checksum"):
        push_experts(packed, REPO)


def test_what_is_not_there_is_said(hub, packed, tmp_path):
    push_experts(packed, REPO)
    with pytest.raises(UserError, match=r"A file is not in hf://lab/experts/libero_goal/99"):
        rd.load_expert("hf://lab/experts/libero_goal/99")
    with pytest.raises(UserError, match="There is no repository hf://lab/none"):
        rd.load_expert("hf://lab/none")
    with pytest.raises(UserError, match="There is no expert in"):
        push_experts(tmp_path / "cache", REPO)
    hub.repos["lab/empty"] = {"commits": [{"README.md": b"nothing"}], "tags": {}}
    with pytest.raises(UserError, match="There is no expert in"):
        pull_experts("lab/empty", tmp_path / "back")
