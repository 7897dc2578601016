"""All labels of an episode."""

from itertools import chain

import numpy as np
from jaxtyping import Bool, Float64, Int32

from rl_datagen.data.labels import Cause, EpisodeLabels
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.labels.failure import Evidence, failure_cause
from rl_datagen.labels.observe import Observed, Observer
from rl_datagen.labels.subtasks import MIN_HELD, Cutter, Subtask
from rl_datagen.sim import Scene
from rl_datagen.sim.motions import Motion


class Labeller:
    """Labels episodes of one task.

    Args:
        scene: The task.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene, self._observer, self._cutter = scene, Observer(scene), Cutter(scene)
        self._statements = tuple(" ".join(each) for each in scene.goal.statements)

    def label(self, trajectory: Trajectory) -> EpisodeLabels:
        """Returns an episode's labels, from its states and actions.

        Raises:
            DatasetError: They are not states of this scene.
        """
        seen, cutter = self._observer.observe(trajectory), self._cutter
        motions = cutter.motions(seen)
        subtasks = cutter.cut(seen, motions, trajectory.success)
        index = np.repeat(np.arange(len(subtasks)), [s.end - s.start for s in subtasks])
        following = self._next(seen, subtasks, index)
        distance = np.take_along_axis(seen.distances, np.maximum(following, 0)[:, None], 1)[:, 0]
        return EpisodeLabels(
            episode_id=trajectory.episode_id,
            statements=self._statements,
            predicates=seen.predicates,
            subtask=[subtasks[number].sentence for number in index],
            subtask_index=index.astype(np.int32),
            held=seen.held,
            contact_objects=seen.contact_objects,
            contact_forces=seen.contact_forces,
            next_predicate=following,
            goal_distance=np.where(following < 0, 0, distance).astype(np.float32),
            progress=self._progress(seen, subtasks, trajectory),
            failure=None if trajectory.success else self._cause(trajectory, seen, motions),
        )

    def _progress(
        self, seen: Observed, subtasks: list[Subtask], trajectory: Trajectory
    ) -> Float64[np.ndarray, " T"]:
        return self._cutter.progress(seen, subtasks, trajectory.success).astype(np.float32)

    def _next(
        self, seen: Observed, subtasks: list[Subtask], index: np.ndarray
    ) -> Int32[np.ndarray, " T"]:
        """Returns the statement worked on at each env step; -1: all hold.

        It is the subtask's own if that does not hold, else the first that does not.
        """
        missing: Bool[np.ndarray, "T P"] = ~seen.predicates
        own = np.array(
            [[s.body in moved for moved in self._scene.goal.moved] for s in subtasks], bool
        )[index]
        first, mine = missing.argmax(1), (missing & own).argmax(1)
        found = np.where((missing & own).any(1), mine, first)
        return np.where(missing.any(1), found, -1).astype(np.int32)

    def _cause(self, trajectory: Trajectory, seen: Observed, motions: list[Motion]) -> Cause:
        scene, names = self._scene, self._cutter.names
        goal = scene.goal
        parts = {part.name for part in scene.state_layout.parts if part.kind == "joint"}
        open_statements = np.flatnonzero(~seen.predicates[-1]).tolist()
        bodies = {body for moved in goal.moved for body in moved}
        for name in {*scene.objects_of_interest, *chain(*(s[1:] for s in goal.statements))}:
            if names.get(body := scene.body_ids[name]) in parts:  # what goes into a drawer needs it
                bodies.add(body)
        return failure_cause(
            Evidence(
                wanted={names[body] for each in open_statements for body in goal.moved[each]},
                involved={names[body] for body in bodies},
                moved=[n for m in motions if _is_handled(m, n := names[m.body], seen, parts)],
                held=seen.held,
                contact_objects=seen.contact_objects,
                parts=parts,
                num_closed=int((trajectory.action[:, 6] > 0).sum()),
            )
        )


def _is_handled(motion: Motion, name: str, seen: Observed, parts: set[str]) -> bool:
    """Whether the hand moved a thing, or was at a part; objects also roll and are pushed."""
    rows = slice(motion.start, motion.end + 1)
    if name in parts:
        return sum(name in touched for touched in seen.contact_objects[rows]) >= MIN_HELD
    return seen.held[rows].count(name) >= MIN_HELD
