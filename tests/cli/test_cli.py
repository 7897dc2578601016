import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rl_datagen import cli
from rl_datagen.config.overlays import overlays
from rl_datagen.config.reference import MODELS, groups


def rl_datagen(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rl_datagen", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_tasks_as_json_lists_130_tasks_in_5_suites():
    listed = json.loads(rl_datagen("tasks", "--json").stdout)
    assert len(listed["suites"]) == 5
    assert len({row["task"] for row in listed["tasks"]}) == 130


def test_tasks_lists_the_perturbations_of_a_task():
    listed = json.loads(rl_datagen("tasks", "libero_goal/3", "--perturbed", "--json").stdout)
    assert listed["suites"][0] == "libero_goal_lan"
    assert {row["base"] for row in listed["tasks"]} == {"libero_goal/3"}
    changes = {row["suite"]: row["perturbs"] for row in listed["tasks"]}
    assert len(changes) == len(listed["tasks"]) == 7
    assert changes["libero_goal_swap"] == "position"


def test_config_show_prints_what_config_show_reads(tmp_path):
    first = rl_datagen("config", "show", "algo.lr=3e-5").stdout
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(first)
    assert rl_datagen("config", "show", str(overlay)).stdout == first
    assert "lr: 3.0e-05" in first


def test_config_list_has_a_line_for_every_overlay():
    lines = rl_datagen("config", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(overlays())
    listed = dict(line.split(maxsplit=1) for line in lines)
    assert listed["ablation/ddpm"] == "The paper's Fig. 5: DDPM in place of DDIM."


def test_config_copy_copies_an_overlay_and_replaces_nothing(tmp_path):
    copied = rl_datagen("config", "copy", "vla/tiny", "mine", cwd=tmp_path)
    assert copied.stdout.split() == ["overlay", "mine/tiny.yaml"]
    path = tmp_path / "mine" / "tiny.yaml"
    assert path.read_text() == overlays()["vla/tiny"].read_text()
    path.write_text("name: changed\n")
    refused = rl_datagen("config", "copy", "vla/tiny", "mine", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'mine/tiny.yaml' exists already. Nothing was written." in refused.stderr
    assert path.read_text() == "name: changed\n"


def test_config_copy_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").touch()
    refused = rl_datagen("config", "copy", "vla/tiny", "file", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'file/tiny.yaml' cannot be written" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_schema_names_every_section():
    schema = json.loads(rl_datagen("config", "schema").stdout)
    assert {"sim", "demos", "policy", "warm_start", "algo"} <= set(schema["properties"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quickstart", "task=libero_objct/0"), "Did you mean 'libero_object'"),
        (("quickstart", "algo.lrr=1e-4"), "Did you mean 'algo.lr'"),
        (("quickstart", "algo.num_iterations=many"), "algo.num_iterations='many'"),
        (("quickstart", "policy.action_steps=9"), "action_horizon=8"),
        (
            ("train", "verdict.good_success_rate=0.9"),
            "poor_success_rate=0.93",
        ),
        (("quickstart", "nowhere.yaml"), "neither a readable YAML file"),
        (("quickstart", "config/quickstart.yaml"), "Did you mean 'quickstart'"),
        (("train", "expert_stat"), "Did you mean 'expert_state'? `rl-datagen config list`"),
        (("config", "copy", "tiny"), "Did you mean 'vla/tiny'? `rl-datagen config list`"),
        (("tasks", "libero_gaol"), "Did you mean 'libero_goal'"),
        (("tasks", "libero_90", "--perturbed"), "No perturbations of libero_90 are known"),
        (("dataset", "verify", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(tmp_path, arguments, message):
    result = rl_datagen(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", MODELS)
def test_every_command_with_settings_lists_them(command):
    result = rl_datagen(*command.split(), "--settings")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for group in groups(MODELS[command]):
        for setting in group.settings:
            assert any(line.startswith(f"  {setting.key} ") for line in lines)
    if command == "train":
        assert "  algo.lr = 4e-05   (float > 0)\n      Actor's peak learning rate." in result.stdout


def test_the_page_of_settings_is_up_to_date():
    page = Path(__file__).parents[2] / "docs/settings.md"
    renew = "rl-datagen config reference > docs/settings.md"
    assert rl_datagen("config", "reference").stdout == page.read_text("utf-8"), renew


def test_config_show_and_schema_are_those_of_a_command():
    shown = yaml.safe_load(rl_datagen("config", "show", "--for", "collect", "experts=mine").stdout)
    assert (shown["experts"], shown["num_episodes_per_shard"]) == ("mine", 25)
    quickstart = yaml.safe_load(rl_datagen("config", "show", "--for", "quickstart").stdout)
    assert quickstart["name"] == "quickstart"  # with the overlay that it starts from
    schema = json.loads(rl_datagen("config", "schema", "--for", "vla-train").stdout)
    assert "datasets" in schema["properties"]


def complete(line):
    words = f"rl-datagen {line}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    environment = {**os.environ, "_RL_DATAGEN_COMPLETE": "complete_bash", **asked}
    command = [sys.executable, "-m", "rl_datagen"]
    return subprocess.run(command, capture_output=True, text=True, env=environment).stdout.split()


def test_a_shell_completes_commands_overlays_and_settings():
    assert complete("coll") == ["collect"]
    assert complete("train expert_") == ["expert_pixel", "expert_pixel_cpu", "expert_state"]
    assert complete("vla train model.num_loader") == ["model.num_loader_workers="]


def test_commands_are_grouped_in_the_order_of_use():
    shown = rl_datagen("-h").stdout
    order = ["First steps", "quickstart", "Experts", "campaign", "Datasets", "quality", "paper"]
    places = [shown.index(word) for word in order]
    assert places == sorted(places)


def test_every_command_explains_itself(capsys):
    for arguments in (
        [],
        ["quickstart"],
        ["train"],
        ["dataset"],
        ["doctor"],
        ["tasks"],
        ["config"],
    ):
        printed = []
        for option in ("--help", "-h"):
            with pytest.raises(SystemExit) as exit_:
                cli.app([*arguments, option])
            assert exit_.value.code == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]
        assert ("--fresh" in printed[0]) == (arguments in (["quickstart"], ["train"]))
