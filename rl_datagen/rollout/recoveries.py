"""Recoveries: a stored episode is disturbed somewhere on its way, and a policy puts it right.

The way there is replayed from its init state, so that every number of the simulator, its
controller's included, is what it was; the disturbance is a short push in one direction.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from rl_datagen.config import SimConfig
from rl_datagen.core.blas import on_rounding
from rl_datagen.core.errors import DatasetError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.branches import Branch, branch_of
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.rollout.plans import PlannedEpisode
from rl_datagen.rollout.run import Policy, rollout
from rl_datagen.sim import InitialState, Scene

_PUSH_STEPS = (4, 12)  # env steps of a disturbance, both included
_PUSH_SPEED = (0.2, 0.6)  # of the fastest the hand may move, 0.05 m an env step
_PUSH_TURN = 0.1  # standard deviation of the turning about each axis, of 0.5 rad an env step
_OPENS = 0.25  # share of pushes with the gripper's command reversed


def _draw_push(rng: np.random.Generator, gripper: float) -> Float32[np.ndarray, "K 7"]:
    """Returns the actions of a push, which begins with this command to the gripper."""
    direction = rng.standard_normal(3)
    push = np.zeros(7, np.float32)
    push[:3] = rng.uniform(*_PUSH_SPEED) * direction / np.linalg.norm(direction)
    push[3:6] = np.clip(rng.normal(0, _PUSH_TURN, 3), -1, 1)
    push[6] = -gripper if rng.random() < _OPENS else gripper
    return np.repeat(push[None], rng.integers(_PUSH_STEPS[0], _PUSH_STEPS[1] + 1), axis=0)


def plan_recovery(origin: Trajectory, seed: int, number: int, *, pushes: bool) -> PlannedEpisode:
    """Returns an episode that follows another one to a step drawn at random, and leaves it there.

    Args:
        origin: The other one.
        seed: Of the job.
        number: Of the branch, among those of the origin.
        pushes: Whether the hand is pushed there; else the policy takes over at once.
    """
    own_seed = derive_seed(seed, "recovery", origin.episode_id, number)
    rng = np.random.default_rng(own_seed)
    step = int(rng.integers(0, origin.num_steps_to_success))
    gripper = float(origin.action[max(step - 1, 0), 6])
    opening = origin.action[:step]
    if pushes:
        opening = np.concatenate([opening, _draw_push(rng, gripper)])
    branch = Branch(origin.episode_id, step, len(opening), number)
    initial = InitialState(origin.init_state, origin.fixture_poses, origin.init_state_index)
    return PlannedEpisode(branch.episode_id, initial, own_seed, opening)


def recover(
    policy: Policy,
    scene: Scene,
    origins: Sequence[Trajectory],
    num_recoveries: int,
    max_attempts: int,
    *,
    seed: int,
    sim: SimConfig,
    pushes: bool = True,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
) -> tuple[list[Trajectory], int]:
    """Returns recoveries from each of some episodes, and how many were attempted.

    Args:
        policy: Takes over.
        scene: The task.
        origins: The episodes.
        num_recoveries: Of each episode that are to succeed.
        max_attempts: Of each episode, then it has fewer.
        seed: Of the job.
        sim: Time limit, from the takeover on; the episodes say themselves how they settled.
        pushes: Whether the hand is pushed before; else the policy takes over at once.
        on_episode: Called after each attempt.

    Raises:
        DatasetError: An episode does not replay.
    """
    by_id = {origin.episode_id: origin for origin in origins}
    kept: dict[str, list[Trajectory]] = {name: [] for name in by_id}
    attempts = 0
    for number in range(max_attempts):
        missing = [each for each in origins if len(kept[each.episode_id]) < num_recoveries]
        for settle, group in _by_settling(missing).items():
            plans = [plan_recovery(each, seed, number, pushes=pushes) for each in group]
            own = sim.model_copy(update={"num_settle_steps": settle})
            for episode in rollout(policy, scene, plans, source="recovery", sim=own):
                branch = branch_of(episode.episode_id)
                assert branch is not None
                _check_way(episode, by_id[branch.origin], branch)
                on_episode(episode)
                attempts += 1
                if episode.success and len(episode) > branch.takeover:
                    kept[branch.origin].append(episode)
    return [episode for each in kept.values() for episode in each], attempts


def _by_settling(origins: Sequence[Trajectory]) -> Mapping[int, list[Trajectory]]:
    groups: dict[int, list[Trajectory]] = {}
    for each in origins:
        groups.setdefault(each.num_settle_steps, []).append(each)
    return groups


def _check_way(episode: Trajectory, origin: Trajectory, branch: Branch) -> None:
    """Compares each state up to the branch, and the one there, with the record."""
    end = min(branch.step + 1, len(episode))
    same = (episode.sim_state[:end] == origin.sim_state[:end]).all(axis=1)
    if not same.all():
        raise DatasetError(
            f"The replay of episode {origin.episode_id} leaves the recorded states at env step "
            f"{int(np.argmin(same))}, so nothing can branch off from it. It was recorded with "
            "other versions of MuJoCo or LIBERO: install those that its manifest names, or "
            f"collect anew. {on_rounding()}"
        )
