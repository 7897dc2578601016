"""The table and the figure of made-up learning curves."""

import json

import numpy as np
import pytest

from rl_datagen.report.ablation import Curve, ablation_plot, summarise_arms, write_ablation

TASKS = ("libero_goal/8", "libero_object/6", "libero_90/48")


def curve(arm, task, seed, ends, *, steps=1000, ms=2.0):
    """From 40 % to ``ends`` in four iterations, evaluated after every other one."""
    rows = [{"iteration": 0, "num_env_steps_lifetime": 0, "evaluation_success_rate": 0.4}]
    for n in range(1, 5):
        row = {"iteration": n, "num_env_steps": steps, "num_env_steps_lifetime": n * steps}
        row["seconds_sample"] = ms * steps / 1000
        if n % 2 == 0:
            row["evaluation_success_rate"] = 0.4 + (ends - 0.4) * n / 4
            row["evaluation_success_len_mean"] = 100.0 if ends else None
            row["evaluation_jerk"] = 20.0 if ends else None
        rows.append(row)
    return Curve(arm, task, seed, rows)


def study(**arms):
    """Two seeds of three tasks; each arm's mean success at the end."""
    rng = np.random.default_rng(0)
    return [
        curve(
            arm, task, seed, np.clip(ends + rng.normal(0, 0.02), 0, 1), ms=20 if "d" in arm else 2
        )
        for arm, ends in arms.items()
        for task in TASKS
        for seed in (0, 1)
    ]


def test_what_the_paper_says_is_seen_or_not():
    curves = study(default=0.9, mlp_denoiser=0.5, ddpm=0.88, constant_lr=0.9, few_simulators=0.97)
    rows = {row.arm: row for row in summarise_arms(curves, "default")}
    assert list(rows) == ["default", "mlp_denoiser", "ddpm", "constant_lr", "few_simulators"]
    assert {arm: row.holds for arm, row in rows.items()} == {
        "default": "",
        "mlp_denoiser": "yes",
        "ddpm": "yes",
        "constant_lr": "no difference shown",
        "few_simulators": "no",
    }
    worse = rows["mlp_denoiser"]
    assert worse.change.mean == pytest.approx(-0.4, abs=0.03)
    assert (worse.num_tasks, worse.num_cells, worse.env_steps) == (3, 6, 4000)
    assert worse.warm_start.mean == pytest.approx(0.4)
    assert rows["default"].change is None
    assert rows["mlp_denoiser"].sampling == pytest.approx(1)  # both 20 ms


def test_an_arm_is_compared_over_the_cells_that_both_have():
    curves = [
        curve("default", TASKS[0], 0, 0.9), curve("default", TASKS[1], 0, 0.5),
        curve("mine", TASKS[1], 0, 0.7), curve("mine", TASKS[2], 0, 0.0),
    ]  # fmt: skip
    _, mine = summarise_arms(curves, "default")
    assert mine.change.mean == pytest.approx(0.2)
    assert mine.success.mean == pytest.approx(0.35)
    assert mine.length.mean == 100  # of the cell that succeeds
    assert (mine.paper, mine.holds) == ("", "")


def test_the_figure_has_a_panel_for_each_choice_and_the_default_in_all():
    plot = ablation_plot(study(default=0.9, ddpm=0.8, gaussian=0.7, mine=0.2), "default")
    rows = list(zip(plot.columns["panel"], plot.columns["arm"], strict=True))
    assert set(rows) == {
        ("sampler", "default"), ("sampler", "ddpm"), ("policy", "default"), ("policy", "gaussian"),
        ("others", "default"), ("others", "mine"),
    }  # fmt: skip
    ends = [
        success
        for arm, steps, success in zip(
            plot.columns["arm"], plot.columns["env_steps"], plot.columns["success"], strict=True
        )
        if arm == "mine" and steps == 4000
    ]
    assert ends == [pytest.approx(0.2, abs=0.03)]
    assert set(plot.columns["num_cells"]) == {6}


def test_files(tmp_path):
    write_ablation(tmp_path, study(default=0.9, gaussian=0.8), "default")
    text = (tmp_path / "ablation.md").read_text()
    assert "| Gaussian | 6 | 40 (40 to 40) | 80 (" in text
    (_, row) = json.loads((tmp_path / "ablation.json").read_text())["arms"]
    assert row["change"]["mean"] == pytest.approx(-0.1, abs=0.03)
    assert (tmp_path / "ablation.png").stat().st_size > 10_000
    write_ablation(tmp_path / "one", [curve("default", TASKS[0], 0, 0.9)], "default")
    assert "default" in (tmp_path / "one" / "ablation.md").read_text()
