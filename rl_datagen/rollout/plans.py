"""Which init state and which seed an episode starts from: every planner there is.

Who may start where decides whether results are honest; docs/architecture.md has the table.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from rl_datagen.config import Config
from rl_datagen.core.seeding import derive_seed
from rl_datagen.sim import InitialState, Scene


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode that is to be run.

    Attributes:
        episode_id: Unique and stable; see ``Trajectory``.
        initial: Where it starts.
        seed: Seed of the policy's randomness.
        opening: Actions that are executed before the policy is first asked; the time limit counts
            from their end.
    """

    episode_id: str
    initial: InitialState
    seed: int
    opening: Float32[np.ndarray, "K 7"] = field(
        default_factory=lambda: np.zeros((0, 7), np.float32), compare=False
    )


def plan_episode(
    scene: Scene, source: str, seed: int, number: int, shipped: int | None
) -> PlannedEpisode:
    """Returns episode ``number`` of a source.

    Args:
        scene: The task.
        source: Whose stream of randomness it takes; names the episode, too.
        seed: Of the run.
        number: Of the episode in that stream.
        shipped: The shipped init state it starts from; None: from a newly drawn one.
    """
    task = scene.task
    episode_seed = derive_seed(seed, source, task.id, number)
    initial = scene.draw_state(episode_seed) if shipped is None else scene.shipped_state(shipped)
    name = f"{task.suite}-{task.index}-{source}-{seed}-{number:05d}"
    return PlannedEpisode(name, initial, episode_seed)


def plan_attempt(scene: Scene, seed: int, number: int, *, num_shipped: int) -> PlannedEpisode:
    """Returns an attempt: from a shipped init state and from a newly drawn one in turn.

    Args:
        scene: The task.
        seed: Of the job.
        number: Of the attempt, from 0.
        num_shipped: Shipped init states that may serve, once each: the first ones, of those that
            there are.
    """
    index, drawn = divmod(number, 2)
    shipped = None if drawn or index >= min(num_shipped, scene.num_init_states) else index
    return plan_episode(scene, "amplified", seed, number, shipped)


def held_back_indices(scene: Scene, config: Config) -> range:
    """Returns the shipped init states that only evaluations may start from: the last ones.

    All of them, where there are no more than the evaluation asks for.
    """
    there_are = scene.num_init_states
    return range(max(0, there_are - config.evaluation.num_episodes), there_are)


def plan_evaluation(scene: Scene, seed: int, index: int) -> PlannedEpisode:
    """Returns the evaluated episode that starts from a shipped init state.

    Args:
        scene: The task.
        seed: Of the evaluation.
        index: Of the init state.
    """
    return PlannedEpisode(
        f"evaluation-{index}",
        scene.shipped_state(index),
        derive_seed(seed, "evaluation", scene.task.id, index),
    )
