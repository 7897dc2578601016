"""A sparse-reward reaching task with the interface of ``LiberoVectorEnv``, and its demonstrations.

A hand at the origin has to come within ``RADIUS`` of a target. Each demonstrator aims a bit beside
it, so that a clone of all of them hits about half the time: fine-tuning has to sharpen it.
"""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rl_datagen.config import load_config
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.trajectory import Trajectory

STEP = 0.05  # m per unit of action
RADIUS = 0.02  # m
TASK = "libero_object/0"


def toy_config(*overrides: str, kind: str = "diffusion"):
    """A configuration with small networks and chunks of four."""
    return load_config(
        [
            f"policy.kind={kind}",
            "policy.action_horizon=4",
            "policy.action_steps=4",
            "policy.encoder_width=32",
            "policy.unet_channels=[16,32]",
            "sim.max_episode_steps=20",
            *overrides,
        ]
    )


def draw_target(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    return rng.uniform(0.1, 0.3) * direction / np.linalg.norm(direction)


class Reach:
    """One simulator."""

    def reset(self, target: np.ndarray) -> None:
        self.target, self.hand = target, np.zeros(3)

    def step(self, action: np.ndarray) -> bool:
        self.hand = self.hand + STEP * np.clip(action[:3], -1, 1)
        return bool(np.linalg.norm(self.target - self.hand) < RADIUS)

    def observe(self) -> dict[str, np.ndarray]:
        proprio = np.zeros(8, np.float32)
        proprio[:3] = self.hand
        return {"proprio": proprio, "object_state": (self.target - self.hand).astype(np.float32)}


class ToyVectorEnv(VectorEnv):
    """Chunks of actions, NEXT_STEP autoreset, and batches of ``num_episodes`` that end idle."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs,
        action_steps=4,
        max_episode_steps=20,
        num_episodes=None,
        seed=0,
        indices=None,
    ):
        self.num_envs, self._action_steps = num_envs, action_steps
        self._max_steps, self._num_episodes, self._seed = max_episode_steps, num_episodes, seed
        self._indices = indices
        box = lambda n: gym.spaces.Box(-np.inf, np.inf, (n,), np.float32)  # noqa: E731
        self.single_observation_space = gym.spaces.Dict({"proprio": box(8), "object_state": box(3)})
        self.single_action_space = gym.spaces.Box(-1, 1, (action_steps, 7), np.float32)
        batch = gym.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, num_envs)
        self.action_space = batch(self.single_action_space, num_envs)
        self._sims = [Reach() for _ in range(num_envs)]

    def reset(self, *, seed=None, options=None):
        self._seed = self._seed if seed is None else seed
        self._started = 0
        self._steps = np.zeros(self.num_envs, int)
        self._done = np.zeros(self.num_envs, bool)
        self._parked = np.zeros(self.num_envs, bool)
        self._init = np.zeros(self.num_envs, int)
        for i in range(self.num_envs):
            self._start(i)
        return self._observe(), {}

    def step(self, actions):
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        infos = {}
        for i in range(self.num_envs):
            if self._done[i]:
                self._start(i)
            elif not self._parked[i]:
                terminated[i], truncated[i] = self._step(i, actions[i])
                reward[i] = terminated[i]
            self._done[i] = terminated[i] or truncated[i]
            if self._done[i]:
                info = {
                    "success": bool(terminated[i]),
                    "num_env_steps": int(self._steps[i]),
                    "init_state_index": int(self._init[i]),
                    "seed": -1,
                    "error": "",
                }
                infos = self._add_info(infos, info, i)
        return self._observe(), reward, terminated, truncated, infos

    def _start(self, i):
        self._done[i] = False
        if self._num_episodes is not None and self._started >= self._num_episodes:
            self._parked[i] = True
            return
        seed = derive_seed("toy", self._seed, self._started)
        if self._indices is not None:
            seed = self._indices[seed % len(self._indices)]
        self._started += 1
        self._steps[i], self._init[i] = 0, seed
        self._sims[i].reset(draw_target(seed))

    def _step(self, i, chunk):
        for action in chunk:
            self._steps[i] += 1
            if self._sims[i].step(action):
                return True, False
            if self._steps[i] >= self._max_steps:
                return False, True
        return False, False

    def _observe(self):
        rows = [sim.observe() for sim in self._sims]
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def make_toy_env(context):
    """The toy in place of ``rl_datagen.algo.env_runner.make_libero_env``."""
    return ToyVectorEnv(
        context["num_envs"],
        context["action_steps"],
        context["max_episode_steps"],
        context["num_episodes"],
        indices=context["init_state_indices"],
    )


def demonstrations(num, spread=1.0, bias=0.0, seed=0) -> list[Trajectory]:
    """Episodes that go straight to a point beside the target.

    It lies ``bias`` radii to the side, plus a random offset of about ``spread`` radii.
    """
    rng = np.random.default_rng(seed)
    return [_demonstrate(i, rng, spread, bias) for i in range(num)]


def _demonstrate(number, rng, spread, bias):
    sim = Reach()
    sim.reset(draw_target(int(rng.integers(2**31))))
    aim = sim.target + RADIUS * (spread * rng.normal(size=3) / np.sqrt(3) + [bias, 0, 0])
    rows, actions = [], []
    for _ in range(12):
        rows.append(sim.observe())
        action = np.zeros(7, np.float32)
        action[:3] = np.clip((aim - sim.hand) / STEP, -0.6, 0.6)
        action[6] = -1
        actions.append(action)
        sim.step(action)
    return trajectory(np.stack(actions), rows, number)


def trajectory(action: np.ndarray, rows: list[dict[str, np.ndarray]], number: int = 0):
    """A ``Trajectory`` of these actions and observations; what no learner reads is zero."""
    steps = len(action)
    blank = lambda n: np.zeros((steps, n))  # noqa: E731
    reward = np.zeros(steps, np.float32)
    reward[-1] = 1
    return Trajectory(
        episode_id=f"toy-{number}",
        task=TASK,
        source="amplified",
        seed=number,
        init_state_index=None,
        success=True,
        num_settle_steps=0,
        init_state=np.zeros(5),
        fixture_poses=np.zeros((0, 7)),
        sim_state=blank(5),
        action=action.astype(np.float32),
        proprio=np.stack([row["proprio"] for row in rows]),
        ee_pos=blank(3),
        ee_quat=blank(4),
        gripper_qpos=blank(2),
        joint_pos=blank(7),
        object_state=np.stack([row["object_state"] for row in rows]),
        reward=reward,
        decision=np.arange(steps, dtype=np.int32),
    )


def success_rate(actor, num_episodes: int, max_episode_steps: int = 20) -> float:
    """Rolls an actor out on fresh targets."""
    sims = [Reach() for _ in range(num_episodes)]
    done = np.zeros(num_episodes, bool)
    for i, sim in enumerate(sims):
        sim.reset(draw_target(10_000 + i))
        actor.start(i, sim, seed=i)
    for _ in range(0, max_episode_steps, actor.action_steps):
        rows = [sim.observe() for sim in sims]
        batch = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        for i, chunk in enumerate(actor.act(batch, range(num_episodes))):
            for action in chunk:
                done[i] = done[i] or sims[i].step(action)
    return float(done.mean())
