"""What cloning begins with, and what polishing clones."""

import pytest

from rl_datagen.config import load_config
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT
from rl_datagen.pipeline import expert
from rl_datagen.pipeline.expert import _initial
from rl_datagen.pipeline.run import Run


def initial(tmp_path, *settings):
    task = ("task=libero_goal_swap/5", f"output_dir={tmp_path}")
    return _initial(Run(load_config([*task, *settings], base="expert_state"), SILENT))


def test_a_perturbed_task_may_begin_with_the_expert_of_its_base_task(tmp_path):
    assert initial(tmp_path) is None
    policy, stats = initial(tmp_path, "warm_start.expert=release/libero_goal/5")
    assert stats.observation_sizes == {key: len(value) for key, value in stats.mean.items()}
    assert policy.normalizer.state_size == sum(stats.observation_sizes.values())


def test_an_expert_with_another_network_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"another policy .*policy.encoder_width is \S+ there"):
        initial(tmp_path, "warm_start.expert=release/libero_goal/5", "policy.encoder_width=32")
    with pytest.raises(UserError, match="is not an expert folder"):
        initial(tmp_path, f"warm_start.expert={tmp_path}")


@pytest.mark.parametrize(("stage", "beside"), [("polish_before", ["shown"]), ("polish_after", [])])
def test_a_warm_start_alone_is_polished_beside_its_demonstrations(
    tmp_path, monkeypatch, stage, beside
):
    run = Run(load_config([f"output_dir={tmp_path}"], base="expert_state"), SILENT)
    run.bind()
    run.markers.mark("dppo", {"iterations": 1})
    run.expert.mkdir(parents=True)
    monkeypatch.setattr(expert, "cloned_episodes", lambda _: ["shown"])
    monkeypatch.setattr(expert, "polish", lambda *_, beside=(): {"beside": list(beside)})
    assert expert.STAGES[stage](run) == {"beside": beside}
