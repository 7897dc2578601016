"""The statistics that bring actions and state to a common scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from rl_datagen.core.errors import UserError, shown
from rl_datagen.core.storage import write_json
from rl_datagen.core.stored import OBJECT, damaged, read_stored
from rl_datagen.data.trajectory import Trajectory

GRIPPER = 6
"""Index of the gripper command in an action."""
MIN_ACTION_RANGE = 0.1
"""Floor of max - min of an action entry: an entry that never moves must not blow up noise."""
_AGAIN = "Copy the whole folder again, or train the policy anew."
_ROOM, _ROTATION, _FINGER = 0.05, 0.05, 0.01
MIN_STD = {
    # m, axis-angle entries, finger joints (m): a few demonstrations hardly vary some entries, and
    # dividing by their tiny deviations puts a state that is only slightly off at 80 sigma.
    "proprio": np.array([_ROOM] * 3 + [_ROTATION] * 3 + [_FINGER] * 2, np.float32),
    "object_state": np.float32(0.05),
}
"""Floors of the standard deviations, at physical scales."""


@dataclass(frozen=True, eq=False)
class NormStats:
    """What the warm-start data looks like, entry by entry.

    Attributes:
        action_low: Smallest action; -1 for the gripper.
        action_high: Largest action; +1 for the gripper.
        mean: Mean of each observation, by key.
        std: Standard deviation of each observation, by key, floored at ``MIN_STD``; infinite for
            an entry that is to be ignored, which is 0 then.
        positions: Which entries are positions relative to the hand, by key; a key that is missing
            has none.
    """

    action_low: Float32[np.ndarray, " Da"]
    action_high: Float32[np.ndarray, " Da"]
    mean: dict[str, Float32[np.ndarray, " D"]]
    std: dict[str, Float32[np.ndarray, " D"]]
    positions: dict[str, Bool[np.ndarray, " D"]] = field(default_factory=dict)

    @classmethod
    def from_trajectories(cls, trajectories: Sequence[Trajectory]) -> "NormStats":
        """Returns the statistics of all steps of all episodes.

        Raises:
            UserError: There is no episode.
        """
        if not trajectories:
            raise UserError("There is no episode to take statistics from: make demonstrations.")
        action = np.concatenate([t.action for t in trajectories])
        observation = {
            key: np.concatenate([getattr(t, key) for t in trajectories]) for key in MIN_STD
        }
        return cls.from_arrays(action, observation)

    @classmethod
    def from_arrays(
        cls,
        action: Float32[np.ndarray, "M Da"],
        observation: Mapping[str, Float32[np.ndarray, "M D"]],
    ) -> "NormStats":
        """Returns the statistics of some env steps, one row each; keys are those of ``MIN_STD``."""
        low, high = action.min(0), action.max(0)
        middle = (low + high) / 2
        half = np.maximum(high - low, MIN_ACTION_RANGE) / 2
        low, high = middle - half, middle + half
        low[GRIPPER], high[GRIPPER] = -1, 1
        mean, std = {}, {}
        for key, values in observation.items():
            values = values.astype(np.float64)
            mean[key] = values.mean(0).astype(np.float32)
            std[key] = np.maximum(values.std(0), MIN_STD[key]).astype(np.float32)
        return cls(low, high, mean, std)

    def ignoring(self, key: str, entries: Bool[np.ndarray, " D"]) -> "NormStats":
        """Returns them with some entries of an observation hidden from whoever uses them."""
        std = np.where(entries, np.float32(np.inf), self.std[key])
        return replace(self, std={**self.std, key: std})

    def with_positions(self, key: str, entries: Bool[np.ndarray, " D"]) -> "NormStats":
        """Returns them with some entries of an observation marked as positions."""
        return replace(self, positions={**self.positions, key: entries})

    @property
    def observation_sizes(self) -> dict[str, int]:
        """Entries of each observation, by key."""
        return {key: len(value) for key, value in self.mean.items()}

    def to_dict(self) -> dict[str, Any]:
        """Returns a JSON-ready dictionary."""
        return {
            "action": {"low": self.action_low.tolist(), "high": self.action_high.tolist()},
            "observation": {
                # JSON has no infinity.
                key: {
                    "mean": self.mean[key].tolist(),
                    "std": [value if np.isfinite(value) else None for value in std.tolist()],
                    **_position_indices(self.positions.get(key)),
                }
                for key, std in self.std.items()
            },
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NormStats":
        """Returns what ``to_dict`` wrote."""
        observation = values["observation"]
        return cls(
            np.array(values["action"]["low"], np.float32),
            np.array(values["action"]["high"], np.float32),
            {key: np.array(item["mean"], np.float32) for key, item in observation.items()},
            {
                key: np.array([np.inf if s is None else s for s in item["std"]], np.float32)
                for key, item in observation.items()
            },
            {
                key: np.isin(np.arange(len(item["mean"])), item["positions"])
                for key, item in observation.items()
                if "positions" in item
            },
        )

    def check(self) -> None:
        """Checks that one can scale with them.

        Raises:
            ValueError: Numbers are not finite, a standard deviation or a range is not positive, or
                two columns have different lengths.
        """
        low, high = self.action_low, self.action_high
        if (
            low.ndim != 1
            or low.shape != high.shape
            or not (np.isfinite(low) & np.isfinite(high)).all()
        ):
            raise ValueError("the range of actions is not finite")
        if not (low < high).all():
            raise ValueError("the range of actions is empty")
        for key, std in self.std.items():
            mean = self.mean[key]
            if mean.ndim != 1 or mean.shape != std.shape or not np.isfinite(mean).all():
                raise ValueError(f"the mean of {key} is not finite or has another length")
            if not (std > 0).all():  # NaN is not; infinity hides an entry
                raise ValueError(f"a standard deviation of {key} is not positive")

    def save(self, path: Path) -> None:
        """Writes ``path`` as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> "NormStats":
        """Reads what ``save`` wrote.

        Raises:
            UserError: The file is missing or holds something else.
        """
        try:
            stats = cls.from_dict(read_stored(path, OBJECT, _AGAIN))
            stats.check()
            return stats
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            reason = f"it holds no normalisation statistics ({type(error).__name__}: {error})"
            raise damaged(str(path), shown(reason, 300), _AGAIN) from None


def _position_indices(entries: Bool[np.ndarray, " D"] | None) -> dict[str, list[int]]:
    """Statistics without positions look as they did before there were any."""
    return {} if entries is None else {"positions": np.flatnonzero(entries).tolist()}
