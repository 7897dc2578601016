from pathlib import Path

import pytest

from rl_datagen.config import Config, load_config
from rl_datagen.config.overlays import nearest_overlay, overlays, summary
from rl_datagen.core.errors import ConfigError, MachineError

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_package_has_every_overlay_of_the_repository_and_no_copy_of_it():
    names = {str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml")}
    assert set(overlays()) == names
    assert {"quickstart", "ablation/gaussian", "vla/pi05"} < names
    link = CONFIGS.parent / "rl_datagen" / "configs"
    assert link.is_symlink()
    assert link.readlink() == Path("../configs")


def test_every_overlay_says_in_a_sentence_what_it_is_for():
    for name, overlay in overlays().items():
        sentence = summary(overlay)
        assert 20 < len(sentence) < 120, name
        assert sentence.endswith("."), name
        assert "rl-datagen vla" not in sentence, name


def test_names_and_paths_mean_the_same(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    by_name = load_config(["expert_state", "ablation/gaussian", "algo.lr=1e-4"])
    paths = [str(CONFIGS / f"{name}.yaml") for name in ("expert_state", "ablation/gaussian")]
    assert by_name == load_config([*paths, "algo.lr=1e-4"]) != Config()
    assert load_config(base="quickstart").name == "quickstart"


def test_only_what_ends_like_a_file_is_a_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("expert_pixel", "expert_pixel.yaml", "expert_pixel.yml"):
        Path(name).write_text(f"name: {name.replace('.', '-')}\n")
    assert load_config(["expert_pixel"]).policy.encoder == "resnet"
    assert load_config(["expert_pixel.yaml"]).name == "expert_pixel-yaml"
    assert load_config(["./expert_pixel.yml"]).name == "expert_pixel-yml"


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("expert_stat", "expert_state"),
        ("gaussian", "ablation/gaussian"),
        ("configs/expert_state", "expert_state"),
        ("vla/pi0.5", "vla/pi05"),
        ("config/quickstart.yaml", "quickstart"),
        ("/somewhere/else/configs/vla/tiny.yaml", "vla/tiny"),
        ("mine/fist.yaml", "mine/first.yaml"),
        ("mine/first", "mine/first.yaml"),
    ],
)
def test_what_does_not_exist_gets_the_nearest_name(monkeypatch, tmp_path, argument, meant):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/first.yaml").touch()
    assert nearest_overlay(argument) == f" Did you mean '{meant}'?"
    with pytest.raises(ConfigError) as error:
        load_config([argument])
    message = str(error.value)
    assert message.count("Did you mean") == 1
    for part in (f"'{argument}'", f"'{meant}'", "`rl-datagen config list`", "task=libero_goal/3"):
        assert part in message


def test_a_package_that_was_copied_without_its_overlays_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("rl_datagen.config.overlays.files", lambda package: tmp_path)
    (tmp_path / "configs").symlink_to("../configs")
    with pytest.raises(MachineError, match=r"Copy that folder too"):
        load_config(base="quickstart")


def test_nothing_near_is_no_guess(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert nearest_overlay("libero_goal/8") == ""
