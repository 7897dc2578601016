"""Episode in a simulator: its init state, the chunks executed, its end, what is recorded."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_datagen.sim.scene import InitialState
from rl_datagen.sim.simulator import Simulator


@dataclass(eq=False)
class Episode:
    """One episode in a simulator, from ``start`` through ``run``, chunk by chunk, until it is over.

    A ``SimulatorError`` of ``start`` or ``run`` ends it, too; whoever catches it says so.

    Attributes:
        simulator: What it takes place in.
        init: Where it starts.
        max_steps: Time limit in env steps, without settling.
        num_steps_after_success: Env steps it goes on after it first succeeded, inside the time
            limit.
        is_recorded: Whether ``rows`` are kept.
        rows: Of each env step, the state and observation before it and its action.
        num_steps: Env steps begun.
        num_chunks: Chunks executed.
        success: Whether the goal held after the last env step.
        num_steps_to_success: Env steps until the goal first held; None: it has not.
        error: What went wrong; empty: nothing.
    """

    simulator: Simulator
    init: InitialState
    max_steps: int
    num_steps_after_success: int = 0
    is_recorded: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    num_steps: int = 0
    num_chunks: int = 0
    success: bool = False
    num_steps_to_success: int | None = None
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has succeeded, and gone on as long as it should, or met its time limit."""
        first, limit = self.num_steps_to_success, self.max_steps
        if first is not None:
            limit = min(limit, first + self.num_steps_after_success)
        return self.num_steps >= limit

    def start(self, num_settle_steps: int) -> None:
        """Puts the simulator into the init state and lets the scene come to rest."""
        self.simulator.reset(self.init, num_settle_steps)

    def run(self, actions: Float[np.ndarray, "Ta 7"]) -> None:
        """Executes a chunk, up to the episode's end."""
        for action in actions:
            if self.is_recorded:
                self.rows.append(self._row(action))
            self.num_steps += 1
            self.success = self.simulator.step(action)
            if self.success and self.num_steps_to_success is None:
                self.num_steps_to_success = self.num_steps
            if self.is_over:
                break
        self.num_chunks += 1

    def _row(self, action: Float[np.ndarray, "7"]) -> dict[str, Any]:
        return {
            "sim_state": self.simulator.sim_state(),
            "action": action,
            **self.simulator.observe(),
            **self.simulator.robot_state(),
            "decision": self.num_chunks,
        }
