import av
import pytest

from rl_datagen.config import RenderConfig, load_config
from rl_datagen.core.progress import SILENT
from rl_datagen.data.results import EvaluatedEpisode, write_results
from rl_datagen.pipeline.contrast import contrast, told_apart
from rl_datagen.pipeline.run import Run
from rl_datagen.policy import load_policy, make_policy, save_expert
from tests.test_release import RELEASE


def store(run, moment, successes):
    episodes = [
        EvaluatedEpisode(run.task.id, index, 0, success, 100)
        for index, success in successes.items()
    ]
    write_results(run.evaluation(moment), episodes, seconds=1)


def make_run(tmp_path, *settings):
    return Run(load_config([f"output_dir={tmp_path}", *settings]), progress=SILENT)


def test_init_states_that_tell_the_policies_apart(tmp_path):
    run = make_run(tmp_path)
    store(run, "before", {46: True, 47: False, 48: False, 49: False})
    store(run, "after", {46: True, 47: False, 48: True, 49: True})
    assert list(told_apart(run)) == [48, 49]


def test_nothing_is_filmed_where_nothing_is_rendered_or_told_apart(tmp_path):
    run = make_run(tmp_path)
    store(run, "before", {48: True, 49: False})
    store(run, "after", {48: True, 49: False})
    assert contrast(run) == ()
    assert contrast(make_run(tmp_path / "not-evaluated")) == ()
    without = make_run(tmp_path / "other", "collect.render.num_episodes=0")
    store(without, "before", {49: False})
    store(without, "after", {49: True})
    assert contrast(without) == ()


@pytest.mark.sim
@pytest.mark.slow
def test_a_failure_and_a_success_are_run_again_and_filmed(tmp_path):
    source = RELEASE / "experts" / "libero_goal" / "5"
    policy, config, stats = load_policy(source, task="libero_goal/5")
    render = RenderConfig(num_episodes=1, image_size=64)
    collect = config.collect.model_copy(update={"render": render})
    own = {"output_dir": str(tmp_path), "name": "run", "collect": collect}
    run = Run(config.model_copy(update=own), progress=SILENT)
    save_expert(run.expert, policy, run.config, stats, {})
    save_expert(run.warm_expert, make_policy(run.config.policy, stats), run.config, stats, {})
    store(run, "before", {48: False, 49: False})
    store(run, "after", {48: False, 49: True})
    failure, success = contrast(run)
    limit = run.config.sim.max_episode_steps or run.task.max_episode_steps
    assert failure.caption == f"Warm start, init state 49: not at the goal after {limit} env steps"
    assert success.caption.startswith("Expert, init state 49: at the goal after ")
    lengths = []
    for clip in (failure, success):
        with av.open(str(clip.path)) as video:
            lengths.append(video.streams.video[0].frames)
            assert (video.streams.video[0].width, video.streams.video[0].height) == (64, 64)
    assert lengths[0] == limit > lengths[1] == int(success.caption.split()[-3])
