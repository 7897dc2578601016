import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError, SimulatorError
from rl_datagen.sim import InitialState

pytestmark = pytest.mark.sim


def run(simulator, actions):
    """Returns everything there is to see after each action."""
    seen = []
    for action in actions:
        reached = simulator.step(action)
        pose = simulator.goal_pose()
        seen.append(
            [
                simulator.sim_state(),
                *simulator.observe().values(),
                *simulator.robot_state().values(),
                *pose,
                simulator._render_qpos.copy(),
                np.array([reached, simulator.success(), *simulator._sites_on]),
            ]
        )
    return seen


def random_actions(seed, count):
    actions = np.random.default_rng(seed).uniform(-1.2, 1.2, (count, 7))
    actions[::5, 3:6] = 0  # the goal's orientation stays
    return actions


@pytest.mark.parametrize("kind", ["shipped", "drawn"])
def test_is_bit_identical_to_libero(simulator, stock, kind):
    scene = simulator.scene
    init = scene.shipped_state(2) if kind == "shipped" else scene.draw_state(2)
    actions = random_actions(0, 25)
    simulator.reset(init, num_settle_steps=1)
    stock.reset(init, num_settle_steps=1)
    for ours, theirs in zip(run(simulator, actions), run(stock, actions), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_an_episode_does_not_depend_on_the_one_before(simulator):
    init, actions = simulator.scene.shipped_state(0), random_actions(1, 5)
    simulator.reset(init, 2)
    first = run(simulator, actions)
    simulator.reset(simulator.scene.draw_state(9), 3)
    run(simulator, random_actions(2, 10))
    simulator.reset(init, 2)
    for before, after in zip(first, run(simulator, actions), strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_hand_goes_where_it_is_sent(simulator):
    simulator.reset(simulator.scene.shipped_state(0))
    start = simulator.ee_pose()[0]
    for _ in range(10):
        simulator.step(np.array([0, 0, 0.5, 0, 0, 0, -1]))
    moved = simulator.ee_pose()[0] - start
    assert moved[2] > 0.03  # the controller's goal is relative, so the hand lags
    assert np.abs(moved[:2]).max() < 0.02


def test_body_pose_knows_both_kinds_of_names(simulator):
    simulator.reset(simulator.scene.shipped_state(0), 0)
    for ours, mujocos in (
        ("plate_1", "plate_1_main"),
        ("wooden_cabinet_1_middle_region", "wooden_cabinet_1_cabinet_middle"),
    ):
        for a, b in zip(simulator.body_pose(ours), simulator.body_pose(mujocos), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ConfigError, match="Did you mean 'plate_1'"):
        simulator.body_pose("plate1")


def test_a_nan_action_is_an_error_with_coordinates(simulator):
    simulator.reset(simulator.scene.shipped_state(7), 2)
    with pytest.raises(SimulatorError, match="not finite") as caught:
        simulator.step(np.full(7, np.nan))
    assert (caught.value.task, caught.value.init_state_index) == ("libero_goal/0", 7)
    assert caught.value.step == 2


def test_diverged_physics_is_an_error(simulator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a file beside us
    good = simulator.scene.draw_state(1)
    bad = good.sim_state.copy()
    bad[1 + simulator.scene.model.nq :] = 1e12
    with pytest.raises(SimulatorError, match="diverged"):
        simulator.reset(InitialState(bad, good.fixture_poses, seed=1))
    simulator.reset(good)
    assert np.isfinite(simulator.sim_state()).all()
