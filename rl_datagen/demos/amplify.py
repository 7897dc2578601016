"""One demonstration to many: object-centric replay, after MimicGen (Mandlekar et al. 2023).

In a new initial state the controller's target poses of each segment of the demonstration are
carried along with the body the segment is attached to, and tracked in closed loop. Beyond MimicGen,
they are smoothed and followed faster than the human did, what goes on another object is put in its
middle, and a moving part is brought to where the human's was, however far that is. The caller keeps
the episodes that succeed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy.spatial.transform import Rotation

from rl_datagen.demos.correspondence import Correspondence
from rl_datagen.demos.human import HumanDemonstration, scene_of
from rl_datagen.demos.parts import Frame, MovingPart, PartMotion
from rl_datagen.demos.segments import Segment, analyse
from rl_datagen.sim import Scene, Simulator

POSITION_SCALE = 0.05  # m per unit of action, LIBERO's OSC_POSE controller
ROTATION_SCALE = 0.5  # rad per unit of action

# A target further away than one action reaches is waited for, so that a longer way than the
# demonstration's is walked rather than cut short; at most this many env steps until it is reached,
# since something may be in the way.
_WAIT_DISTANCE = 1.5 * POSITION_SCALE
_MAX_WAIT = 20
# The hand closes once it is as near as this to where the human's was when it closed, m, or as near
# as it gets: at a quicker pace it lags further behind its target.
_GRASP_DISTANCE = 0.007
# Share of a segment over which the hand comes over to the frame of its reference. What it carries
# has to be in line before it is between other things.
_BLEND_SHARE = 1 / 3
# How far the approach may deviate sideways from the demonstration's, m; it is zero again once the
# frames have blended, before contact happens.
_APPROACH_SPREAD = 0.02
# Share of the action noise that is carried over to the next env step. Noise that wanders moves the
# hand off the path without shaking it, so the episodes stay smooth.
_PERSISTENCE = 0.9
# Share of the noise that is left while the hand grasps: there millimetres decide, and a clone would
# learn from grasps that held by luck.
_GRASP_NOISE = 0.25
# Env steps of the demonstration per env step: smoothed, it can be acted out faster than the human
# did. A demonstration that would still take more of the time limit than this share is acted out
# faster again: its clone would often be late, and may well be slower.
_PACE = 1.2
_MAX_SHARE_OF_LIMIT = 0.7
# Each segment is acted out at a pace of its own, this much slower or faster at most.
_PACE_SPREAD = 0.15
# An attempt that takes this many times as long as the demonstration has failed: a part may have
# further to go, and the hand may have to wait.
_PATIENCE = 2.0
# Beyond this turn an object is taken for one without a front, such as a can that has rolled.
_MAX_YAW = np.deg2rad(60)


def _yaw(turn: Float64[np.ndarray, "3 3"]) -> float:
    """Returns the angle about the vertical that comes nearest to a rotation, rad."""
    return float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))


class _Episode:
    """Where one amplified episode is in the demonstration it drew."""

    def __init__(
        self, simulator: Simulator, demonstrations: Sequence["Demonstrated"], seed: int
    ) -> None:
        self.simulator = simulator
        self.rng = np.random.default_rng(seed)
        demonstrated = demonstrations[int(self.rng.integers(len(demonstrations)))]
        self.segments, self.mean_pace = demonstrated.segments, demonstrated.pace
        self.waited, self.away = 0, np.inf
        self.frame = self.before = Frame.identity()
        self.motion: PartMotion | None = None
        self.noise = np.zeros(6)
        self._enter(0)

    def _enter(self, index: int) -> None:
        """Begins a segment, attached to its reference as that is now."""
        segment = self.segments[index]
        self.before = self._frame()
        self.index, self.progress = index, 0.0  # the latter in env steps of the demonstration
        self.approach = self.rng.normal(0, _APPROACH_SPREAD, 3)
        self.pace = self.mean_pace * self.rng.uniform(1 - _PACE_SPREAD, 1 + _PACE_SPREAD)
        part = MovingPart.of(self.simulator.scene, segment.reference)
        position, quaternion = self.simulator.body_pose(segment.reference)
        orientation = Rotation.from_quat(quaternion, scalar_first=True).as_matrix()
        yaw = _yaw(orientation @ segment.orientation.T)
        has_front = part is not None or abs(yaw) <= _MAX_YAW
        turn = Rotation.from_euler("z", yaw if has_front else 0.0)
        self.frame = Frame(turn, position - turn.apply(segment.position))
        self.motion = None
        if part is not None and segment.joint is not None:
            self.motion = PartMotion.of(part, segment.joint, self.simulator.data)
            self.pace /= max(1.0, self.motion.stretch)

    def _frame(self) -> Frame:
        """Returns the current segment's frame, moved on with the part that it moves."""
        return self.motion.carry(self.frame, self.progress) if self.motion else self.frame

    def disturb(self) -> Float64[np.ndarray, " 6"]:
        """Returns the next value of a slowly wandering noise (AR(1)).

        Its variance is one, and less where the hand grasps.
        """
        fresh = self.rng.normal(size=6)
        self.noise = _PERSISTENCE * self.noise + np.sqrt(1 - _PERSISTENCE**2) * fresh
        grasps = self.segments[self.index].is_grasp(self.progress)
        return self.noise * (_GRASP_NOISE if grasps else 1.0)

    def target(self) -> tuple[Float64[np.ndarray, " 3"], Rotation, float]:
        """Returns the current target position, orientation and gripper command."""
        segment = self.segments[self.index]
        position, rotation, gripper = segment.target(self.progress)
        # At a segment's beginning the old frame blends into the new one.
        weight = min(1.0, (self.progress + 1) / (_BLEND_SHARE * len(segment)))
        frame = self._frame()
        old, new = self.before.carry(position), frame.carry(position)
        bump = self.approach * np.sin(np.pi * weight) if weight < 1 else np.zeros(3)
        turn = self.before.turn * (self.before.turn.inv() * frame.turn) ** weight
        blended = (1 - weight) * old + weight * new + bump
        return blended, turn * rotation, gripper

    def advance(self, hand: Float64[np.ndarray, " 3"], target: Float64[np.ndarray, " 3"]) -> None:
        """Moves on by one step, unless the hand is still too far behind."""
        segment = self.segments[self.index]
        following = self.progress + segment.pace(self.progress, self.pace)
        behind = bool(np.linalg.norm(target - hand) > _WAIT_DISTANCE)
        closing = segment.hand_at_closing(self.progress, following)
        if closing is not None:
            away = float(np.linalg.norm(self._frame().carry(closing) - hand))
            behind |= _GRASP_DISTANCE < away < self.away  # and comes nearer
            self.away = away
        else:
            self.away = np.inf
        if behind and self.waited < _MAX_WAIT:
            self.waited += 1
            return
        if not behind:
            self.waited = 0
        self.progress = following
        if following >= len(segment) and self.index + 1 < len(self.segments):
            self._enter(self.index + 1)


@dataclass(frozen=True, eq=False)
class Demonstrated:
    """What an episode acts out.

    Attributes:
        segments: From ``analyse``.
        pace: Env steps of the demonstration per env step.
        num_steps_to_success: Env steps until the goal is first reached, at that pace.
        success: Whether the goal holds, from there on.
    """

    segments: list[Segment]
    pace: float
    num_steps_to_success: float
    success: Bool[np.ndarray, " S"]

    @classmethod
    def of(cls, demonstration: HumanDemonstration, scene: Scene) -> "Demonstrated":
        """Analyses a human demonstration of a task, or of the one that it perturbs.

        Raises:
            UserError: Something in it has no counterpart in the scene.
        """
        shown = scene_of(demonstration, scene)
        success = demonstration.success(shown)
        first = int(success.argmax()) if success.any() else len(success) - 1
        allowed = _MAX_SHARE_OF_LIMIT * scene.task.max_episode_steps
        pace = max(_PACE, (first + 1) / allowed)
        segments = analyse(demonstration, shown)
        if shown is not scene:
            stands_for = Correspondence(shown, scene)
            segments = [replace(each, reference=stands_for(each.reference)) for each in segments]
        return cls(segments, pace, (first + 1) / pace, success[first:])

    def num_steps_after_success(self, at_most: int) -> int:
        """Returns the env steps, at its pace, until it last succeeds within so many."""
        steps = (self.pace * np.arange(at_most + 1)).astype(int)
        (held,) = np.nonzero(self.success[steps[steps < len(self.success)]])
        return int(held[-1]) if len(held) else 0


class AmplifiedPolicy:
    """Acts out demonstrations' segments around the objects of the episode at hand.

    Args:
        demonstrations: Human ones; an episode draws one of them.
        scene: Their task, or one that perturbs it.
        action_noise: Standard deviation of the slowly wandering noise on the actions; the closed
            loop corrects it afterwards, which is what teaches a clone to recover.
    """

    action_steps = 1

    def __init__(
        self, demonstrations: Sequence[HumanDemonstration], scene: Scene, action_noise: float
    ) -> None:
        self._demonstrations = [Demonstrated.of(each, scene) for each in demonstrations]
        self._noise = action_noise
        self._episodes: dict[int, _Episode] = {}

    def num_steps_after_success(self, at_most: int) -> int:
        """Returns how long to go on after success, so that it is one again in all demonstrations.

        Args:
            at_most: Env steps.
        """
        return min(each.num_steps_after_success(at_most) for each in self._demonstrations)

    def time_limit(self, benchmark: int, num_steps_after_success: int) -> int:
        """Returns the env steps after which an attempt will not succeed any more.

        Args:
            benchmark: The task's time limit; never exceeded.
            num_steps_after_success: As in ``rollout``.
        """
        longest = max(each.num_steps_to_success for each in self._demonstrations)
        return min(benchmark, round(_PATIENCE * longest) + num_steps_after_success)

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode in the simulator's present state."""
        self._episodes[episode] = _Episode(simulator, self._demonstrations, seed)

    def act(
        self, observation: dict[str, Float[np.ndarray, "N _"]], episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N 1 7"]:
        """Returns the next action of each episode."""
        return np.stack([self._next(self._episodes[number]) for number in episodes])[:, None]

    def _next(self, episode: _Episode) -> Float32[np.ndarray, " 7"]:
        target, rotation, gripper = episode.target()
        position, matrix = episode.simulator.ee_pose()
        offset = target - position
        turn = (rotation * Rotation.from_matrix(matrix).inv()).as_rotvec()
        move = np.concatenate([offset / POSITION_SCALE, turn / ROTATION_SCALE])
        move += self._noise * episode.disturb()
        episode.advance(position, target)
        return np.append(np.clip(move, -1, 1), gripper).astype(np.float32)
