"""Labels of a human demonstration, and of its actions from elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from rl_datagen.config import SimConfig
from rl_datagen.core.errors import DatasetError
from rl_datagen.demos import ReplayPolicy, load_human_demonstration
from rl_datagen.labels import Labeller
from rl_datagen.labels.observe import Observer
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene, replay
from rl_datagen.sim.contacts import HandContacts
from rl_datagen.sim.libero import make_stock_env
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task("libero_goal/8"))


@pytest.fixture(scope="module")
def episodes(scene):
    """The human's success, and its actions from another init state, which fail."""
    human = load_human_demonstration(scene.task)
    plans = [PlannedEpisode("good", human.place(scene), 0)]
    plans.append(PlannedEpisode("bad", scene.shipped_state(2), 1))
    limit = SimConfig(max_episode_steps=len(human.actions))
    found = rollout(ReplayPolicy(human.actions), scene, plans, source="human", sim=limit)
    return {episode.episode_id: episode for episode in found}


@pytest.fixture(scope="module")
def labels(scene, episodes):
    return {name: Labeller(scene).label(episode) for name, episode in episodes.items()}


@pytest.mark.slow
def test_a_success_is_cut_into_what_is_done(scene, episodes, labels):
    found = labels["good"]
    assert episodes["good"].success
    assert found.failure is None
    assert list(dict.fromkeys(found.subtask)) == [
        "pick up the akita black bowl",
        "place the akita black bowl on the plate",
    ]
    assert found.progress[0] == 0
    assert found.progress[-1] == 1
    assert (np.diff(found.progress) >= 0).all()
    placing = np.array(found.subtask_index) == 1
    assert found.progress[placing].min() >= 0.5
    held = np.array(found.held) == "akita_black_bowl_1"
    assert held[placing].mean() > 0.8
    assert not held[~placing].any()
    assert found.statements == ("on akita_black_bowl_1 plate_1",)
    assert found.goal_distance[-1] < 0.06 < found.goal_distance[0]


def test_a_grip_is_felt_on_both_sides(labels):
    found = labels["good"]
    carried = [
        dict(zip(names, forces, strict=True))["akita_black_bowl_1"]
        for held, names, forces in zip(
            found.held, found.contact_objects, found.contact_forces, strict=True
        )
        if held
    ]
    assert 3 < np.median(carried) < 41  # N; its weight is 1, and a finger presses with 20 at most


def test_predicates_are_libero_s_own_on_every_frame(scene, episodes, labels):
    env = make_stock_env(scene.task)
    env.reset()
    for name, episode in episodes.items():
        model = env.sim.model
        model.body_pos[scene.fixture_ids] = episode.fixture_poses[:, :3]
        model.body_quat[scene.fixture_ids] = episode.fixture_poses[:, 3:]
        for state, mine in zip(episode.sim_state, labels[name].predicates, strict=True):
            env.sim.set_state_from_flattened(state)
            env.sim.forward()
            goal = env.env.parsed_problem["goal_state"]
            assert [env.env._eval_predicate(statement) for statement in goal] == mine.tolist()
    env.close()


def test_forces_are_those_of_a_replay_2_ms_before(scene, episodes):
    contacts, seen = HandContacts(scene), Observer(scene).observe(episodes["good"])
    differences = []
    for step, simulator in enumerate(replay(episodes["good"], scene)):
        touched, forces, _ = contacts.read(simulator.data)
        mine = dict(zip(seen.contact_objects[step], seen.contact_forces[step], strict=True))
        for thing, force in zip(touched, forces, strict=True):
            differences.append(abs(mine.get(contacts.names[thing], 0) - force) / force)
    assert len(differences) > 20
    assert np.median(differences) < 0.02


def test_labels_depend_on_nothing_that_was_labelled_before(scene, episodes, labels):
    labeller = Labeller(scene)
    labeller.label(episodes["bad"])
    again = labeller.label(episodes["good"])
    assert again.contact_forces == labels["good"].contact_forces
    assert np.array_equal(again.progress, labels["good"].progress)


def test_a_failure_has_a_cause_and_its_progress_stays_below_1(episodes, labels):
    found = labels["bad"]
    assert not episodes["bad"].success
    assert found.failure == "dropped"  # beside the plate
    assert found.held[-1] == ""
    assert 0.5 < found.progress[-1] < 1
    assert set(found.next_predicate.tolist()) == {0}


def test_states_of_another_scene_are_refused(scene, episodes):
    other = replace(episodes["good"], sim_state=episodes["good"].sim_state[:, :20])
    with pytest.raises(DatasetError, match=r"has states of 20 numbers.*install the versions"):
        Labeller(scene).label(other)
