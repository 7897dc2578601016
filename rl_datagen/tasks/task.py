"""What is known of one task without LIBERO."""

import re
from dataclasses import dataclass, field

NUM_INIT_STATES = 50
"""That LIBERO ships of each of its 130 tasks."""


@dataclass(frozen=True, order=True)
class Task:
    """One LIBERO task.

    Attributes:
        suite: Its suite, such as ``"libero_goal"``, or of a perturbed one ``"libero_goal_swap"``.
        index: Position in the suite, as in LIBERO's benchmark; of a perturbed task that of its
            base, which LIBERO-PRO's own order of some suites is not.
        name: LIBERO's name: the stem of the BDDL and init-state files.
        max_episode_steps: Time limit in env steps (20 Hz).
        base: The task that it perturbs; None: it is one of the 130.
        perturbs: What of it: ``language``, ``position``, ``object``, ``goal`` or ``distractor``.
        sentence: Its instruction where that is not in its name.
        demonstrated_by: The task whose human demonstrations show its goal, if not its own.
        num_init_states: That are shipped with it.
    """

    suite: str
    index: int
    name: str
    max_episode_steps: int
    base: "Task | None" = field(default=None, compare=False)
    perturbs: str = field(default="", compare=False)
    sentence: str = field(default="", compare=False)
    demonstrated_by: "Task | None" = field(default=None, compare=False)
    num_init_states: int = field(default=NUM_INIT_STATES, compare=False)

    @property
    def id(self) -> str:
        """``"libero_goal/3"``."""
        return f"{self.suite}/{self.index}"

    @property
    def instruction(self) -> str:
        """The sentence a VLA is given.

        LIBERO derives it from the task's name; where language or goal are perturbed, the task's
        definition has it.
        """
        return self.sentence or re.sub(r"^[A-Z_]+SCENE\d+_", "", self.name).replace("_", " ")

    def __str__(self) -> str:
        return self.id
