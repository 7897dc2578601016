"""Recoveries of two released episodes, with the real expert in the real simulator."""

from pathlib import Path

import numpy as np
import pytest

import rl_datagen as rd
from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data.branches import branch_of
from rl_datagen.data.compact import read_compact
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.export.episodes import read_plan
from rl_datagen.export.plan import Choice, plan_export
from rl_datagen.jobs.check_replay import check_replay
from rl_datagen.jobs.hydrate import replay_compact
from rl_datagen.jobs.recover import recover_dataset
from rl_datagen.rollout import recover
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim
TASK = "libero_object/3"
RELEASE = Path(__file__).parents[2] / "release"


@pytest.fixture(scope="module")
def origins():
    scene = load_scene(get_task(TASK))
    episodes = list(read_compact(RELEASE / "libero130", TASK))[:2]
    return [replay_compact(episode, scene) for episode in episodes]


@pytest.fixture(scope="module")
def made(origins, tmp_path_factory):
    """The dataset of the origins, and that of their recoveries."""
    root = tmp_path_factory.mktemp("recover")
    with DatasetWriter(root / "origins", config={}) as writer:
        writer.append(origins)
    path = recover_dataset(root / "origins", settings(root), 2)
    return root, path


def settings(root, **changes):
    wanted = {"experts": str(RELEASE / "experts/{task}"), "num_workers": 1}
    return CollectionConfig(name="recovered", output_dir=str(root), **wanted | changes)


@pytest.mark.slow
def test_recoveries_follow_their_origin_to_the_branch_and_reach_the_goal(origins, made):
    _, path = made
    verify(path).check()
    episodes = list(read_trajectories(path))
    assert len(episodes) == 4
    by_id = {origin.episode_id: origin for origin in origins}
    for episode in episodes:
        branch = branch_of(episode.episode_id)
        origin = by_id[branch.origin]
        assert (episode.source, episode.success) == ("recovery", True)
        here = branch.step + 1
        np.testing.assert_array_equal(episode.sim_state[:here], origin.sim_state[:here])
        np.testing.assert_array_equal(episode.action[: branch.step], origin.action[: branch.step])
        pushed = episode.action[branch.step : branch.takeover]
        assert 4 <= len(pushed) <= 12
        assert (pushed == pushed[0]).all()
        assert branch.takeover < len(episode)


def test_the_same_call_finds_nothing_left_to_do(made):
    root, path = made
    before = read_manifest(path).content_hash
    assert recover_dataset(root / "origins", settings(root), 2) == path
    assert read_manifest(path).content_hash == before
    with pytest.raises(DatasetError, match="num_recoveries"):
        recover_dataset(root / "origins", settings(root), 3)


def test_nobody_learns_what_came_before_the_takeover(made):
    _, path = made
    whole = {episode.episode_id: episode for episode in read_trajectories(path)}
    dataset = rd.Dataset(path)
    left = [len(e) - branch_of(name).takeover for name, e in whole.items()]
    assert len(dataset) == len(dataset.array("action")) == sum(left)
    first = branch_of(dataset.episodes[0].episode_id)
    assert dataset[0]["step"] == first.takeover
    plan = plan_export(path, Choice("all", images=False, drop_noops=True))
    exported = 0
    for planned, episode, _ in read_plan(plan):
        kept = ~whole[planned.episode_id].noops
        kept[: branch_of(planned.episode_id).takeover] = False
        np.testing.assert_array_equal(episode.action, whole[planned.episode_id].action[kept])
        exported += len(episode)
    assert exported == plan.num_frames


@pytest.mark.slow
def test_recoveries_replay_bit_for_bit(made):
    _, path = made
    check_replay(path, 4).check()


def test_a_policy_may_take_over_undisturbed(origins):
    scene = load_scene(get_task(TASK))
    expert = rd.load_expert(RELEASE / "experts" / TASK)
    config = CollectionConfig(experts="release")
    found, attempts = recover(expert, scene, origins, 1, 3, seed=1, sim=config.sim, pushes=False)
    assert len(found) == 2 <= attempts
    for episode in found:
        branch = branch_of(episode.episode_id)
        assert branch.step == branch.takeover


def test_an_origin_that_does_not_replay_is_refused(origins):
    scene = load_scene(get_task(TASK))
    state = origins[0].sim_state.copy()
    state[0, 1] += 1e-9
    other = type(origins[0])(**{**vars(origins[0]), "sim_state": state})
    expert = rd.load_expert(RELEASE / "experts" / TASK)
    sim = CollectionConfig(experts="release").sim
    with pytest.raises(DatasetError, match="leaves the recorded states at env step 0"):
        recover(expert, scene, [other], 1, 1, seed=0, sim=sim)


def test_experts_of_other_tasks_and_none_are_refused(made):
    root, _ = made
    with pytest.raises(ConfigError, match="experts is not set"):
        recover_dataset(root / "origins", settings(root, experts=None, source="human"), 1)
    with pytest.raises(ConfigError, match="none of them that task selects"):
        recover_dataset(root / "origins", settings(root, task="libero_goal/5"), 1)
