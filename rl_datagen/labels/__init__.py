"""Exact labels of each env step, from the simulator's states."""

from rl_datagen.labels.episode import Labeller
from rl_datagen.labels.failure import Evidence, failure_cause

__all__ = ["Evidence", "Labeller", "failure_cause"]
