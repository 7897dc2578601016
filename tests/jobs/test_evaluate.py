"""Evaluations of real policies on real tasks, as jobs that stop and resume."""

import json
import re

import numpy as np
import pytest
import ray
import torch

from rl_datagen.config import EvaluateConfig, load_config
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.results import read_results
from rl_datagen.jobs.evaluate import EvaluationUnit, evaluate_tasks, run_unit
from rl_datagen.policy import make_policy, save_expert
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
from tests.told import Told

pytestmark = pytest.mark.sim
TASK = get_task("libero_object/0")


def save(folder, seed):
    """A small untrained expert in state mode."""
    config = load_config(
        [
            f"task={TASK.id}",
            "policy.unet_channels=[16,32]",
            "policy.encoder_width=32",
            "policy.num_denoising_steps=2",
        ]
    )
    rng = np.random.default_rng(0)
    sizes = {"proprio": 8, "object_state": load_scene(TASK).state_layout.size}
    observation = {key: rng.normal(size=(50, n)).astype(np.float32) for key, n in sizes.items()}
    stats = NormStats.from_arrays(
        rng.uniform(-1, 1, (50, 7)).astype(np.float32),
        observation,
    )
    torch.manual_seed(seed)
    save_expert(folder, make_policy(config.policy, stats), config, stats, {})
    return folder


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    return save(tmp_path_factory.mktemp("expert"), 0)


@pytest.fixture
def configure(tmp_path):
    def make(policy, **changes):
        values = {
            "policy": str(policy),
            "output_dir": str(tmp_path),
            "num_workers": 1,
            "num_simulators": 2,
            "num_episodes": 3,
            "sim": {"max_episode_steps": 12, "num_settle_steps": 2},
        }
        return EvaluateConfig.model_validate(values | changes)

    return make


def run(config):
    """Returns the number of episodes that were left to do, and the results."""
    told = Told()
    folder = evaluate_tasks(config, told)
    return told.totals[0], read_results(folder)


@pytest.mark.slow
def test_a_second_call_runs_what_is_missing(configure, expert, tmp_path):
    config = configure(expert, num_failure_videos=1)
    left, rows = run(config)
    assert left == 3
    assert [row.init_state_index for row in rows] == [0, 1, 2]
    assert all(row.task == TASK.id and row.length == 12 and not row.success for row in rows)
    assert len({row.seed for row in rows}) == 3
    folder = tmp_path / "evaluations" / "evaluation"
    info = json.loads((folder / "eval_info.json").read_text())
    assert info["overall"]["video_paths"] == ["videos/libero_object-0-00.mp4"]
    assert (folder / "videos" / "libero_object-0-00.mp4").stat().st_size > 1000

    assert run(config) == (0, rows)
    (folder / "episodes" / "libero_object-0-00.parquet").unlink()  # as if killed before it
    assert run(config) == (2, rows)
    left, more = run(configure(expert, num_episodes=4, num_simulators=4))
    assert (left, more[:3]) == (1, rows)


@pytest.mark.slow
@pytest.mark.ray
def test_workers_find_what_one_process_finds(configure, expert):
    ray.shutdown()  # what another module has left
    _, alone = run(configure(expert))
    assert run(configure(expert, name="workers", num_workers=2)) == (3, alone)


def test_another_policy_or_task_is_refused(configure, expert, tmp_path):
    run(configure(expert, num_episodes=1))
    other = save(tmp_path / "other", 1)
    with pytest.raises(ConfigError, match="policy is 'expert default@"):
        run(configure(other))
    with pytest.raises(ConfigError, match=r"seed is 0 there and 3 here"):
        run(configure(expert, seed=3))
    with pytest.raises(UserError, match=r"trained for libero_object/0 and knows no other task"):
        run(configure(expert, name="other", task="libero_object"))
    with pytest.raises(UserError, match="is not a policy"):
        run(configure(tmp_path))


def test_a_policy_server_that_dies_can_be_replaced(configure, serve, tmp_path):
    server = serve("--die-after", "4")  # in the second of three episodes, three requests each
    settings = {"task": TASK.id, "num_simulators": 1, "server": {"render_size": 64}}
    settings["server"]["image_size"] = 64
    with pytest.raises(UserError) as error:
        evaluate_tasks(configure(server.url, **settings))
    message = str(error.value)
    assert "2 of 3 episodes are missing" in message
    assert f"The policy server at {server.url} went away" in message
    assert "The same command resumes with what is missing" in message
    folder = tmp_path / "evaluations" / "evaluation"
    (stored,) = folder.glob("episodes/*.parquet")
    content = stored.read_bytes()

    with pytest.raises(UserError, match="No policy server answers"):
        evaluate_tasks(configure(server.url, **settings))
    again = serve()
    left, rows = run(configure(again.url, **settings))
    assert left == 2
    assert [row.init_state_index for row in rows] == [0, 1, 2]
    assert stored.read_bytes() == content
    with np.load(again.folder / "0.npz") as observation:
        assert str(observation["prompt"]) == TASK.instruction
        assert observation["observation/state"].shape == (8,)
        assert observation["observation/image"].std() > 10  # the scene is in the picture


class Breaks:
    """Something happens at its second action in the episode from init state 1."""

    action_steps = 1

    def __init__(self, happens):
        self.label = str(happens)  # workers keep a policy by its label
        self.happens, self.simulators, self.count = happens, {}, {}

    def load(self, device):
        return self

    def start(self, episode, simulator, seed):
        self.simulators[episode], self.count[episode] = simulator, 0

    def act(self, observation, episodes):
        actions = np.zeros((len(episodes), 1, 7))
        for row, episode in enumerate(episodes):
            self.count[episode] += 1
            simulator = self.simulators[episode]
            if simulator.init.index == 1 and self.count[episode] == 2:
                actions = self.happens(actions, row, simulator)
        return actions


def diverges(actions, row, simulator):
    simulator.data.qvel[:] = 1e12
    return actions


def is_nan(actions, row, simulator):
    actions[row] = np.nan
    return actions


def evaluate_breaking(configure, happens):
    config = configure("unused", sim={"max_episode_steps": 4, "num_settle_steps": 2})
    unit = EvaluationUnit(config, TASK, (0, 1, 2), Breaks(happens), 0)
    return run_unit(unit, lambda *_, **__: None)


def test_an_episode_whose_physics_fail_counts_as_a_failure(configure):
    result = evaluate_breaking(configure, diverges)
    assert result.problem is None
    found = {e.init_state_index: (e.success, e.length, e.error) for e in result.episodes}
    assert found[0] == found[2] == (False, 4, None)
    success, length, error = found[1]
    assert (success, length) == (False, 2)
    assert "diverged" in error


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (is_nan, r"init state 1, seed \d+\) is not finite"),
        (
            lambda actions, *_: actions[:, :, :6],
            r"shape \(3, 1, 6\) where numbers of shape \(3, 1, 7\)",
        ),
        (lambda actions, *_: actions[:1], r"float64 of shape \(1, 1, 7\)"),
        (lambda actions, *_: actions.astype(str), "broken: its actions are <U"),
    ],
)
def test_a_policy_that_is_broken_is_not_one_that_fails(configure, happens, said):
    result = evaluate_breaking(configure, happens)
    assert not result.episodes  # of those that ran beside it none had ended
    assert re.search(said, result.problem)
