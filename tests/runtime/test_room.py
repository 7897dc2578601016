import logging

import pytest

from rl_datagen.config import AlgoConfig
from rl_datagen.core.errors import MachineError
from rl_datagen.runtime import room
from rl_datagen.runtime.cluster import map_units
from rl_datagen.runtime.room import RoomWatch, actors, check_room, missing_room, settings_of_actors


class _Context:
    def __init__(self, task=None):
        self.get_task_id = self.get_actor_id = lambda: task


@pytest.fixture
def nodes(monkeypatch):
    """Ray with the nodes that a test asks for, without Ray."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.get_runtime_context", _Context)

    def have(*resources):
        found = [{"Alive": True, "Resources": each} for each in resources]
        monkeypatch.setattr("ray.nodes", lambda: found)

    have({"CPU": 4.0})
    return have


def test_what_fits_is_not_missing(nodes):
    assert missing_room([{"CPU": 1}] * 4) is None
    assert missing_room([]) is None
    nodes({"CPU": 2, "GPU": 1}, {"CPU": 2, "GPU": 1})
    assert missing_room([{"CPU": 1, "GPU": 1}] * 2) is None
    assert missing_room([{"CPU": 0.4, "GPU": 0.1}] * 10) is None


@pytest.mark.parametrize(
    ("bundles", "said"),
    [
        ([{"CPU": 1, "GPU": 1}], "1 CPU and 1 GPU are needed, and 4 CPUs and 0 GPUs are there"),
        ([{"CPU": 1}] * 5, "5 CPUs are needed, and 4 CPUs are there"),
    ],
)
def test_what_is_missing_is_said_in_numbers(nodes, bundles, said):
    assert missing_room(bundles) == said


def test_what_no_single_node_has_is_missing(nodes):
    nodes({"CPU": 2, "GPU": 1}, {"CPU": 2, "GPU": 1})
    assert missing_room([{"GPU": 2}]) == ("2 GPUs are needed on one node, and no node has as much")


def test_this_machines_own_ray_refuses_at_once(nodes):
    with pytest.raises(MachineError, match=r"^campaign\.gpus_per_trial=1: 1 GPU is needed, and 0"):
        check_room([{"GPU": 1}], "campaign.gpus_per_trial=1")
    with pytest.raises(MachineError, match=r"num_gpus_per_worker=0\.5.*RAY_ADDRESS"):
        list(map_units(str, [1], 1, num_gpus=0.5))


def test_a_cluster_may_grow(nodes, monkeypatch):
    nodes({"CPU": 1}, {"CPU": 1})
    check_room([{"GPU": 1}], "x=1")
    nodes({"CPU": 1})
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check_room([{"GPU": 1}], "x=1")


def test_what_runs_inside_a_task_has_its_room(nodes, monkeypatch):
    monkeypatch.setattr("ray.get_runtime_context", lambda: _Context("task"))
    check_room([{"GPU": 1}], "x=1")


def test_who_waits_on_a_cluster_says_so_every_minute(nodes, monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(logging.getLogger("rl_datagen"), "propagate", True)
    watch = RoomWatch([{"GPU": 1}], "x=1")
    for now[0] in range(0, 250):
        watch.look()
    # A record counts once, however many of pytest's handlers other tests have left listening.
    assert len(set(map(id, caplog.records))) == 4
    assert "waits for room on the cluster: 1 GPU is needed" in caplog.text
    nodes({"GPU": 1})
    now[0] = 400.0
    assert watch.look()
    assert watch.said is None
    assert len(set(map(id, caplog.records))) == 4


def test_actors_ask_for_what_their_settings_say():
    algo = AlgoConfig(num_env_runners=2, num_gpus_per_env_runner=0.1, num_learners=1)
    assert actors(algo) == [{"CPU": 1}, {"CPU": 1, "GPU": 0.1}, {"CPU": 1, "GPU": 0.1}]
    assert settings_of_actors(algo) == (
        "algo.num_learners=1, algo.num_env_runners=2, algo.num_gpus_per_env_runner=0.1"
    )
