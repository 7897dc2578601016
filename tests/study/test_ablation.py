"""Cells of an ablation: what they share, what an arm changes, and a real one in small."""

import json

import pytest

from rl_datagen.config import AblationConfig, load_config
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.progress import SILENT
from rl_datagen.study.ablation import Cell, StageUnit, cells_of, result_of, run_ablation
from rl_datagen.tasks import get_task
from tests.told import Told

TINY = (
    "task=libero_90/70",
    "demos.num_episodes=2",
    "warm_start.num_updates=5",
    "algo.num_iterations=1",
    "algo.num_envs_per_env_runner=2",
    "algo.num_episodes_per_iteration=2",
    "algo.num_epochs=1",
    "algo.num_critic_epochs=1",
    "evaluation.num_episodes=2",
)


def load(*settings):
    return load_config(settings, base="ablation", model=AblationConfig)


def test_every_arm_can_be_built_and_changes_what_it_says():
    config = load("num_seeds=2", "seed=5")
    assert len(list(cells_of(config))) == 10 * 3 * 2
    task = get_task("libero_goal/8")
    default = config.for_cell("default", task, 1)
    assert (default.task, default.seed, default.algo.patience) == ("libero_goal/8", 6, None)
    changed = {}
    for arm in config.arm_names[1:]:
        own = config.for_cell(arm, task, 1).model_dump()
        changed[arm] = {
            f"{section}.{key}"
            for section in ("policy", "algo")
            for key in {**own[section], **default.model_dump()[section]}
            if own[section].get(key) != default.model_dump()[section].get(key)
        }
        assert {k: v for k, v in own.items() if k not in ("policy", "algo")} == {
            k: v for k, v in default.model_dump().items() if k not in ("policy", "algo")
        }
    assert changed["constant_lr"] == {"algo.lr_schedule"}
    assert changed["constant_lr_low"] == {"algo.lr_schedule", "algo.lr"}
    assert changed["denoising_steps_1"] == {"policy.num_denoising_steps", "algo.minibatch_size"}
    assert all(changed.values())


@pytest.mark.parametrize("arm", ["few_simulators", "very_few_simulators", "ddpm", "gaussian"])
def test_arms_have_as_many_gradient_steps_as_the_default(arm):
    config, task = load(), get_task("libero_goal/8")

    def steps(config):
        pairs = config.algo.num_episodes_per_iteration * getattr(
            config.policy, "num_denoising_steps", 1
        )
        return pairs * config.algo.num_epochs / config.algo.minibatch_size

    assert steps(config.for_cell(arm, task, 0)) == steps(config.for_cell("default", task, 0))


def test_cells_share_what_is_the_same():
    config = load()

    def run(arm, seed=0, task="libero_goal/8"):
        return StageUnit(config, Cell(arm, get_task(task), seed), "dppo").run(SILENT)

    assert run("default").warm_expert == run("constant_lr").warm_expert
    assert run("default").warm_expert != run("mlp_denoiser").warm_expert
    assert run("default").demos == run("gaussian").demos != run("default", seed=1).demos
    assert run("default").expert != run("constant_lr").expert
    files = {result_of(config.folder, cell) for cell in cells_of(config)}
    assert len(files) == len(list(cells_of(config)))


def test_settings_that_cannot_be():
    with pytest.raises(ConfigError, match=r"algo\.num_env_runners=1 and algo\.num_learners=0"):
        load("algo.num_env_runners=1")
    with pytest.raises(ConfigError, match="two have the name 'gaussian'"):
        load("arms=[ablation/gaussian, mine/gaussian.yaml]")
    config = load("arms=[ablation/gausian]")
    with pytest.raises(ConfigError, match="Did you mean 'ablation/gaussian'"):
        config.for_cell("gausian", get_task("libero_goal/8"), 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.ray
@pytest.mark.sim
def test_a_real_one_goes_on_with_another_arm(tmp_path):
    output = (f"output_dir={tmp_path}", "num_workers=1")
    config = load(*TINY, *output, "arms=[ablation/constant_lr]")
    told = Told()
    folder = run_ablation(config, told)
    assert folder == tmp_path / "ablations/ablation"
    assert told.totals == [1, 1, 2]  # demonstrations and warm start are shared
    results = [result_of(folder, cell) for cell in cells_of(config)]
    before = [path.read_bytes() for path in results]
    for path in results:
        rows = json.loads(path.read_text())["curve"]
        assert [row["iteration"] for row in rows] == [0, 1]
        assert rows[-1]["evaluation_num_episodes"] == 2
    assert json.loads(before[0])["curve"][0] == json.loads(before[1])["curve"][0]
    more = load(*TINY, *output, "arms=[ablation/constant_lr, ablation/gaussian]")
    run_ablation(more, told := Told())
    assert [path.read_bytes() for path in results] == before
    assert told.totals == [0, 1, 1]  # its clone and its run
    assert "Gaussian" in (folder / "ablation.md").read_text()
    with pytest.raises(ConfigError, match=r"belongs to another configuration: algo.lr"):
        run_ablation(load(*TINY, *output, "algo.lr=1e-5"), SILENT)
