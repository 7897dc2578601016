"""Patterns: an expert takes other ways through free space, to where its own way leads.

The expert acts in closed loop all the time, as though it were on its own way: what it sees is moved
back by the detour of the moment, and the motion that makes the detour is added to its actions. A
detour begins and ends with nothing, before the hand touches anything. See docs/decisions/0021.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy.polynomial import Polynomial
from scipy.spatial.transform import Rotation

from rl_datagen.config import SimConfig
from rl_datagen.core.curves import path_distance
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.data.patterns import MIN_PATH_DISTANCE, Pattern, pattern_of
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.rollout.plans import PlannedEpisode
from rl_datagen.rollout.run import Observation, Policy, rollout
from rl_datagen.rollout.stretches import Stretch, find_stretches
from rl_datagen.sim import InitialState, Scene, Simulator

logger = logging.getLogger(__name__)

_MAX_DETOUR = 0.12  # m
_MAX_SPEED = 0.008  # m per env step that a detour adds, about a third of the fastest
_MIN_ANGLE = np.deg2rad(10)  # of a detour to the side, above the horizontal
# How far a detour is along its stretch: from 0 to 1 to 0, with speeds and accelerations that begin
# and end with zero too, so that it adds no jerk at its ends.
_COURSE = 64 * Polynomial([0, 0, 0, 1]) * Polynomial([1, -1]) ** 3
_PEAK_SLOPE = float(_COURSE.deriv()((1 - 5**-0.5) / 2))


@dataclass(frozen=True, eq=False)
class Detour:
    """Where the hand is beside the expert's own way, and what takes it there.

    Attributes:
        offset: Per env step, world frame, m.
        action: Per env step: what is added to the action's position.
        carried: Per env step: names of the objects that the hand has with it.
    """

    offset: Float64[np.ndarray, "T 3"]
    action: Float64[np.ndarray, "T 3"]
    carried: Sequence[frozenset[str]]


def plan_detour(
    episode: Trajectory, stretches: Sequence[Stretch], scene: Scene, angle: float
) -> Detour:
    """Returns a detour from an episode's way, in each of its stretches in free space.

    Args:
        episode: On the expert's own way.
        stretches: From ``find_stretches``.
        scene: The task, whose controller says what an action does.
        angle: Between the detour and the horizontal, across the way, rad: 0 is to the left as one
            walks it, pi / 2 above it, pi to the right.
    """
    length = max(stretch.end for stretch in stretches)
    offset, action = np.zeros((2, length, 3))
    carried: list[frozenset[str]] = [frozenset()] * length
    for each in stretches:
        place = slice(each.start, each.end)
        height = min(_MAX_DETOUR, _MAX_SPEED * len(each) / _PEAK_SLOPE)
        aside = height * _direction(episode.ee_pos[place], angle)
        share, seconds = np.arange(len(each)) / len(each), len(each) / CONTROL_FREQUENCY
        there = _COURSE(share)
        speed, acceleration = (_COURSE.deriv(n)(share) / seconds**n for n in (1, 2))
        offset[place] = np.outer(there, aside)
        action[place] = np.outer(_drive(speed, acceleration, scene), aside)
        carried[place] = [each.carried] * len(each)
    return Detour(offset, action, carried)


def _direction(path: Float64[np.ndarray, "T 3"], angle: float) -> Float64[np.ndarray, " 3"]:
    """Returns the unit vector across a way; one that goes straight down is crossed along y."""
    along = (path[-1] - path[0])[:2]
    size = float(np.linalg.norm(along))
    left = np.array([-along[1], along[0]]) / size if size >= 0.05 else np.array([0.0, 1.0])
    return np.append(np.cos(angle) * left, np.sin(angle))


def _drive(
    speed: Float64[np.ndarray, " T"], acceleration: Float64[np.ndarray, " T"], scene: Scene
) -> Float64[np.ndarray, " T"]:
    """Returns the actions that move LIBERO's controller at a speed (m/s), ahead of any error.

    It drives the hand like a mass on a spring to a goal a little ahead of where the hand was at the
    beginning of the env step: acceleration = kp * (goal - hand) - kd * speed. In the mean over the
    env step the hand is half of its motion nearer to the goal than at its beginning.
    """
    kp, kd = scene.controller.kp[0], scene.controller.kd[0]
    ahead = (acceleration + kd * speed) / kp + speed / (2 * CONTROL_FREQUENCY)
    return ahead / scene.controller.action_scale[0]


class DetouredPolicy:
    """An expert on detours.

    Args:
        expert: The expert.
        scene: Its task.
        detours: By the episodes' numbers.

    Raises:
        ConfigError: The expert sees cameras, whose images cannot be moved back.
    """

    def __init__(self, expert: Policy, scene: Scene, detours: Sequence[Detour]) -> None:
        if getattr(expert, "image_size", None):
            raise ConfigError(
                "Patterns take an expert that sees the simulator's state, and this one sees "
                "cameras: give experts in state mode, or collect without --patterns."
            )
        self.action_steps = expert.action_steps
        self._expert, self._detours = expert, detours
        self._parts = [(part, part.slice.stop - 9) for part in scene.state_layout.parts]
        self._steps: dict[int, int] = {}

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode."""
        self._expert.start(episode, simulator, seed)
        self._steps[episode] = 0

    def act(
        self, observation: Observation, episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N Ts 7"]:
        """Returns the expert's actions on its own way, and the detours added."""
        seen = {name: values.copy() for name, values in observation.items()}
        for row, episode in enumerate(episodes):
            self._move_back(seen, row, self._detours[episode], self._steps[episode])
        actions = np.array(self._expert.act(seen, episodes))
        for row, episode in enumerate(episodes):
            step = self._steps[episode]
            added = self._detours[episode].action[step : step + self.action_steps]
            actions[row, : len(added), :3] += added
            self._steps[episode] += self.action_steps
        return actions

    def _move_back(self, seen: Observation, row: int, detour: Detour, step: int) -> None:
        """Moves the hand and what it carries to where they were without the detour."""
        if step >= len(detour.offset):
            return
        offset, proprio = detour.offset[step], seen["proprio"][row]
        in_hand_frame = Rotation.from_rotvec(proprio[3:6]).inv().apply(offset)
        proprio[:3] -= offset
        for part, start in self._parts:
            if part.name not in detour.carried[step]:
                seen["object_state"][row, start : start + 3] += in_hand_frame


def angle_of(number: int, num_patterns: int) -> float:
    """Returns the angle of a pattern's detours: from left, over the way, to right.

    Args:
        number: Of the pattern, from 1.
        num_patterns: The expert's own way included.
    """
    if num_patterns == 2:
        return np.pi / 2
    share = (number - 1) / (num_patterns - 2)
    return float(_MIN_ANGLE + share * (np.pi - 2 * _MIN_ANGLE))


def vary(
    expert: Policy,
    scene: Scene,
    origins: Sequence[Trajectory],
    num_patterns: int,
    *,
    sim: SimConfig,
    on_episode: Callable[[Trajectory], None] = lambda _: None,
) -> tuple[list[Trajectory], int]:
    """Returns episodes of an expert on other ways than its own, and how many were attempted.

    Kept are those that succeed and are ``MIN_PATH_DISTANCE`` or more away from each other that
    started from the same init state.

    Args:
        expert: In state mode.
        scene: Its task.
        origins: Its successful episodes.
        num_patterns: Ways, its own included; each origin is detoured once for each other.
        sim: As for the origins.
        on_episode: Called after each attempt.

    Raises:
        ConfigError: The expert sees cameras.
        UserError: The task has no stretch in free space, or two patterns are the same.
    """
    plans, detours = _plan(scene, origins, num_patterns)
    policy = DetouredPolicy(expert, scene, detours)
    done: dict[str, Trajectory] = {}
    for episode in rollout(policy, scene, plans, source="pattern", sim=sim):
        on_episode(episode)
        if episode.success:
            done[episode.episode_id] = episode
    kept, nearest = _keep_different(origins, done)
    _check_different(kept, nearest, scene)
    return kept, len(plans)


def _plan(
    scene: Scene, origins: Sequence[Trajectory], num_patterns: int
) -> tuple[list[PlannedEpisode], list[Detour]]:
    """Returns the episodes to run, and the detour of each."""
    plans, detours = list[PlannedEpisode](), list[Detour]()
    for origin in origins:
        initial = InitialState(origin.init_state, origin.fixture_poses, origin.init_state_index)
        stretches = find_stretches(origin, scene)
        for number in range(1, num_patterns if stretches else 1):
            name = Pattern(origin.episode_id, number).episode_id
            plans.append(PlannedEpisode(name, initial, origin.seed))
            angle = angle_of(number, num_patterns)
            detours.append(plan_detour(origin, stretches, scene, angle))
    if not plans:
        raise UserError(
            f"The hand of {scene.task.id}'s expert is never in free space for long enough to take "
            "another way: what it touches is near from beginning to end. Leave the task out "
            "(task=...), or collect it without --patterns."
        )
    return plans, detours


def _keep_different(
    origins: Sequence[Trajectory], done: Mapping[str, Trajectory]
) -> tuple[list[Trajectory], dict[int, float]]:
    """Returns what differs from its siblings, and by pattern the largest distance to the next."""
    siblings = {origin.episode_id: [origin] for origin in origins}
    nearest: dict[int, float] = {}
    for name in sorted(done):
        pattern, episode = pattern_of(name), done[name]
        others = siblings[pattern.origin]
        apart = min(path_distance(episode.ee_pos, other.ee_pos) for other in others)
        nearest[pattern.number] = max(apart, nearest.get(pattern.number, 0.0))
        if apart >= MIN_PATH_DISTANCE:
            others.append(episode)
        else:
            logger.warning("refused episode=%s, %.1f cm from another one", name, 100 * apart)
    return [episode for own in siblings.values() for episode in own[1:]], nearest


def _check_different(
    kept: Sequence[Trajectory], nearest: Mapping[int, float], scene: Scene
) -> None:
    """Refuses patterns of which each episode is like one of another pattern."""
    different = {pattern_of(episode.episode_id).number for episode in kept}
    for number in sorted(nearest.keys() - different):
        raise UserError(
            f"pattern {number} of {scene.task.id} is no pattern of its own: its successful "
            f"episodes are at most {100 * nearest[number]:.1f} cm away from another one from the "
            f"same init state, and {100 * MIN_PATH_DISTANCE:.0f} cm are needed. Ask for fewer "
            "patterns under another name (--patterns, name=...), or leave the task out (task=...)."
        )
