"""The study's jobs, their settings and what they are estimated to take."""

from pathlib import Path

import pytest

from rl_datagen.cli import app
from rl_datagen.config import PaperConfig, load_config
from rl_datagen.core.errors import ConfigError
from rl_datagen.study import configs
from rl_datagen.study.estimate import price, total_hours
from rl_datagen.study.graph import Hours
from rl_datagen.study.jobs import make_jobs

CONFIGS = Path(__file__).parents[2] / "configs"


def load(name, *overrides):
    return load_config([str(CONFIGS / name), *overrides], model=PaperConfig)


def test_every_job_comes_after_those_it_needs():
    for name in ("paper.yaml", "paper_tiny.yaml", "paper_suite.yaml"):
        seen = set()
        for job in make_jobs(load(name)):
            assert set(job.after) <= seen
            seen.add(job.name)
        num = {"paper.yaml": 27, "paper_tiny.yaml": 19, "paper_suite.yaml": 23}
        assert len(seen) == num[name]


def test_both_campaigns_differ_in_the_policy_alone():
    config = load("paper.yaml", "policy.unet_channels=[32,64]", "policy.action_steps=4")
    gaussian, diffusion = (configs.campaign_of(config, s) for s in configs.EXPERTS)
    assert (gaussian.policy.kind, diffusion.policy.kind) == ("gaussian", "diffusion")
    assert gaussian.policy.unet_channels == diffusion.policy.unet_channels == (32, 64)
    assert gaussian.policy.action_steps == 4
    assert gaussian.algo.minibatch_size * 5 == diffusion.algo.minibatch_size  # as many decisions
    exclude = {"policy": True, "name": True, "algo": {"minibatch_size"}}
    assert gaussian.model_dump(exclude=exclude) == diffusion.model_dump(exclude=exclude)
    assert gaussian.name != diffusion.name


def test_vlas_differ_in_their_data_alone():
    config = load("paper.yaml")
    vlas = [configs.vla_of(config, mixture) for mixture in configs.mixtures(config)]
    assert len({vla.fingerprint for vla in vlas}) == 1
    assert len({vla.datasets for vla in vlas}) == len({vla.name for vla in vlas}) == 4
    zero_shot = configs.vla_of(config, "human", zero_shot=True)
    assert zero_shot.task == "libero_90"
    evaluation = configs.evaluation_of(config, "human", zero_shot=True)
    assert evaluation.task == "libero_10,libero_goal,libero_object"
    assert evaluation.policy == str(zero_shot.folder)


def test_datasets_go_from_experts_to_vlas():
    config = load("paper_tiny.yaml", "output_dir=o")
    collection = configs.collection_of(config, "gaussian_rl")
    assert (collection.experts, collection.source) == ("paper_tiny-gaussian_rl", "experts")
    amplified = configs.collection_of(config, "amplified")
    assert (amplified.experts, amplified.source) == (None, "amplified")
    assert configs.dataset_of(config, "amplified") == Path("o/datasets", amplified.name)
    assert configs.render_of(config).num_episodes is None
    assert configs.vla_of(config, "amplified").datasets[0].path == f"o/datasets/{amplified.name}"


def test_a_study_may_have_gaussian_data_of_both_kinds():
    config = load("paper_tiny.yaml", "gaussian_sampled=true")
    collections = {s: configs.collection_of(config, s) for s in configs.sources(config)}
    assert [*collections] == ["amplified", "gaussian_rl", "gaussian_rl_sampled", "diffusion_rl"]
    mean, sampled = collections["gaussian_rl"], collections["gaussian_rl_sampled"]
    assert mean.experts == sampled.experts == "paper_tiny-gaussian_rl"
    assert (mean.gaussian_actions, sampled.gaussian_actions) == ("mean", "sampled")
    assert configs.mixtures(config)[-1] == "amplified+diffusion_rl"
    jobs = {job.name: job for job in make_jobs(config)}
    assert jobs["collect-gaussian_rl_sampled"].after == ("experts-gaussian_rl",)
    assert "evaluate-gaussian_rl_sampled" in jobs["tables"].after


def test_the_full_study_sums_to_the_documented_hours():
    config = load("paper.yaml")
    jobs = {job.name: job for job in make_jobs(config)}
    # 130 experts x 100,000 env steps / 140 per second on one core, as in cluster/README.md
    assert jobs["experts-diffusion_rl"].hours.core == pytest.approx(25.8, abs=0.1)
    # 130 tasks x 50 episodes x 150 env steps x 2 cameras / 13 per second
    assert jobs["render-human"].hours.core == pytest.approx(41.7, abs=0.1)
    # 50,000 updates / 20 per second, eight VLAs on one GPU each
    assert jobs["vla-human"].hours.gpu == pytest.approx(0.69, abs=0.01)
    total = total_hours(jobs.values())
    assert total.gpu == pytest.approx(8 * 50_000 / 20 / 3600)
    assert total.core == pytest.approx(sum(job.hours.core for job in jobs.values()))
    text = (CONFIGS.parent / "docs" / "evaluation.md").read_text()
    assert f"**{total.core:,.0f} core hours** and **{total.gpu:.1f} GPU hours**" in text


def test_the_cost_needs_only_the_prices_of_what_is_used():
    config = load("paper_tiny.yaml", "costs.core_hour_price=0.5")
    assert price(config, Hours(4)) == 2
    assert price(config, Hours(4, 1)) is None
    assert price(load("paper.yaml", "costs.gpu_hour_price=3"), Hours(0, 2)) == 6


def test_a_dry_run_lists_every_job(capsys):
    arguments = ["paper", str(CONFIGS / "paper.yaml"), "costs.core_hour_price=0.01", "--dry-run"]
    app([*arguments, "costs.gpu_hour_price=2"], standalone_mode=False)
    out = capsys.readouterr().out
    for job in make_jobs(load("paper.yaml")):
        assert job.name in out
    assert "27 jobs" in out
    assert "130 trials of 1 core" in out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy.kind=gaussian", "leave policy.kind out"),
        ("task=libero_goal", "zero_shot.train='libero_90' has tasks that task='libero_goal' lacks"),
    ],
)
def test_contradictions_are_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        load("paper.yaml", override)
