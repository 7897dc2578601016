"""An episode cut into subtasks: the way to a thing, then its motion, by what the hand moves.

The cuts are those of amplification (``sim.motions``), and objects that are held while they move
count too, so that the wrong one shows. An episode that failed ends with what it was still at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from rl_datagen.labels.observe import Observed
from rl_datagen.sim import Scene
from rl_datagen.sim.motions import MAX_PAUSE, MIN_SEGMENT, Motion, find_motions, things

MIN_HELD = 3
"""Env steps; less is no grasp."""
_TINY = 1e-3  # m or rad; over less than this, progress goes by time


@dataclass(frozen=True)
class Subtask:
    """Env steps ``start`` to ``end`` of an episode, the last one not included.

    Attributes:
        sentence: What is being done.
        body: The thing it is about.
        start: Its first env step.
        end: The first one after it.
        moves: Whether the thing is on the move; else the hand is on its way to it.
        is_done: Whether it came to its end.
    """

    sentence: str
    body: int
    start: int
    end: int
    moves: bool
    is_done: bool = True


class Cutter:
    """Cuts episodes of one task.

    Args:
        scene: The task.
    """

    def __init__(self, scene: Scene) -> None:
        layout = scene.sample_layout
        parts = list(zip(layout.bodies.tolist(), scene.state_layout.parts, strict=True))
        self._scene = scene
        self.names = {body: part.name for body, part in parts}
        """Of the scene's things, by body."""
        self._bodies = {part.name: body for body, part in parts if part.kind != "fixture"}
        self._joints = {body: number for number, body in enumerate(things(scene, "joint"))}

    def motions(self, seen: Observed) -> list[Motion]:
        """Returns what the hand moves in an episode."""
        grasped = {name for name in set(seen.held) - {""} if seen.held.count(name) >= MIN_HELD}
        carried = sorted(self._bodies[name] for name in grasped)
        return find_motions(seen.track, self._scene, also=carried)

    def cut(self, seen: Observed, motions: Sequence[Motion], success: bool) -> list[Subtask]:
        """Returns an episode's subtasks, which cover its env steps.

        Args:
            seen: The episode.
            motions: What the hand moves in it.
            success: Whether it reached the goal.
        """
        length = len(seen.held)
        subtasks = list(self._moves(seen, motions, success))
        end = subtasks[-1].end if subtasks else 0
        missing = [] if success else np.flatnonzero(~seen.predicates[-1]).tolist()
        if subtasks and (not missing or length - end <= MAX_PAUSE):
            is_done = not missing
            return [*subtasks[:-1], replace(subtasks[-1], end=length, is_done=is_done)]
        statement = missing[0] if missing else 0
        body = self._scene.goal.moved[statement][0]
        if not missing:  # nothing moved as far as a motion does, and yet it is done
            sentence = self._move(seen, Motion(body, 0, length - 1), places=True)
            return [Subtask(sentence, body, 0, length, moves=True)]
        tail = Subtask(self._way(body), body, end, length, moves=False, is_done=False)
        return [*subtasks, tail]

    def _moves(self, seen: Observed, motions: Sequence[Motion], success: bool) -> Iterator[Subtask]:
        """Yields a way and a motion for each motion, one after the other."""
        begin = 0
        for number, motion in enumerate(motions):
            later = motions[number + 1 :]
            end = min([motion.end, *(each.start for each in later[:1])])
            start = motion.start if motion.start - begin >= MIN_SEGMENT else begin
            if start > begin:
                yield Subtask(self._way(motion.body), motion.body, begin, start, moves=False)
            if end > start:
                again = any(each.body == motion.body for each in later)
                held = seen.held[start:end].count(self.names[motion.body]) >= MIN_HELD
                sentence = self._move(seen, motion, places=not again and (held or success))
                yield Subtask(sentence, motion.body, start, end, moves=True)
            begin = max(end, start)

    def _way(self, body: int) -> str:
        verb = "reach" if body in self._joints else "pick up"
        return f"{verb} the {self._words(body)}"

    def _move(self, seen: Observed, motion: Motion, *, places: bool) -> str:
        """Returns what a motion is called; ``places``: an object ends where the goal wants it.

        It does not if it moves once more later, or was pushed aside in an episode that failed.
        """
        body = motion.body
        if body in self._joints:
            joint = seen.joints[:, self._joints[body]]
            change = joint[min(motion.end, len(joint) - 1)] - joint[motion.start]
            return self._scene.words.move(self.names[body], float(change))
        for (name, *rest), moved in zip(
            self._scene.goal.statements, self._scene.goal.moved, strict=True
        ):
            if body in moved and places:
                target = self._scene.words.names[rest[1]]
                return f"place the {self._words(body)} {name} the {target}"
        return f"move the {self._words(body)}"

    def _words(self, body: int) -> str:
        return self._scene.words.names[self.names[body]]

    def progress(
        self, seen: Observed, subtasks: Sequence[Subtask], success: bool
    ) -> Float64[np.ndarray, " T"]:
        """Returns which share of its subtasks an episode has done; it never falls.

        Each subtask counts the same, those that a failed episode still needs included: a way and a
        motion for each statement of the goal that does not hold at its end.
        """
        left = 0
        if not success:
            missing = np.flatnonzero(~seen.predicates[-1])
            last = subtasks[-1]
            own = [last.body in self._scene.goal.moved[each] for each in missing]
            left = 2 * own.count(False) + (any(own) and not last.moves)
        count = len(subtasks) + left
        parts = [
            (number + self._share(seen, subtask)) / count for number, subtask in enumerate(subtasks)
        ]
        return np.concatenate(parts)

    def _share(self, seen: Observed, subtask: Subtask) -> Float64[np.ndarray, " n"]:
        """Returns how much of a subtask is done at its env steps, in [0, 1]."""
        far = self._far(seen, subtask)
        if far[0] < _TINY:
            share = np.arange(1, len(far) + 1) / len(far)
            return share if subtask.is_done else np.zeros(len(far))
        return np.clip(np.maximum.accumulate(1 - far / far[0]), 0, 1)

    def _far(self, seen: Observed, subtask: Subtask) -> Float64[np.ndarray, " n"]:
        """Returns how far what moves is from where the subtask ends, m or rad.

        What moves is the hand on a way, else the body, or its joint. A subtask ends where it did
        end; one that is not done, at the thing, or at the statement of the goal.
        """
        rows, track = slice(subtask.start, subtask.end), seen.track
        body = subtask.body
        if not subtask.is_done:
            if not subtask.moves:
                return np.linalg.norm(track.positions[rows, body] - track.hand[rows], axis=1)
            for number, moved in enumerate(self._scene.goal.moved):
                if body in moved:
                    return seen.distances[rows, number]
            return np.zeros(subtask.end - subtask.start)
        if subtask.moves and body in self._joints:
            path = seen.joints[rows, self._joints[body]][:, None]
        else:
            path = track.positions[rows, body] if subtask.moves else track.hand[rows]
        return np.linalg.norm(path - path[-1], axis=1)
