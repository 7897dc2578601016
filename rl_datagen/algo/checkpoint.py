"""Checkpoints of a training run, read without running any code that they might bring.

RLlib's own checkpoints are pickles: whoever may write to a storage could run commands on every node
that goes on from it. These hold the same state, as tensors and plain values.
"""

import logging
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy._core import multiarray  # pyright: ignore[reportPrivateUsage]
from pydantic import Field

from rl_datagen.core.disk import disk_errors
from rl_datagen.core.errors import first_line
from rl_datagen.core.statistics import Verdict
from rl_datagen.core.storage import sha256, write_json
from rl_datagen.core.stored import Count, Open, Rate, list_form, read_stored
from rl_datagen.policy.state import load_state, save_state

logger = logging.getLogger(__name__)

LEARNING_CURVE = "learning_curve.json"
_Length = Annotated[float, Field(ge=0, le=1e6)]
_SEAL = "learning_curve_sha256"
_STATE, _PARTIAL = "state.pt", "partial"
_NUM_KEPT = 2  # the one before is there if the newest is damaged
_DTYPES = ("f4", "f8", "i4", "i8", "u1", "u4", "u8", "b1")
_ARRAYS: list[Any] = [
    *(multiarray.scalar, multiarray._reconstruct, np.ndarray, np.dtype),
    *(type(np.dtype(name)) for name in _DTYPES),
]
"""What NumPy's arrays of numbers are made of; everything else PyTorch refuses to load."""


class _Row(Open):
    """What of an iteration's row has a meaning to who resumes; what was not evaluated lacks it."""

    iteration: Count
    num_env_steps_lifetime: Count
    success_rate: Rate
    episode_len_mean: _Length
    evaluation_verdict: Verdict = "undecided"
    evaluation_success_rate: Rate = 0
    evaluation_num_episodes: Count = 0
    evaluation_success_len_mean: _Length | None = None
    evaluation_jerk: Annotated[float, Field(ge=0)] | None = None


CURVE = list_form(_Row)
"""The form of a learning curve."""


def save_checkpoint(algo: Any, folder: Path, curve: list[dict[str, Any]]) -> None:
    """Writes an iteration's checkpoint, whole or not at all, and removes all but the last two.

    Args:
        algo: RLlib's algorithm.
        folder: Of the checkpoints.
        curve: The learning curve so far.

    Raises:
        DiskError: The disk is full or cannot be written.
    """
    with disk_errors(folder):
        _save(algo, folder, curve)


def _save(algo: Any, folder: Path, curve: list[dict[str, Any]]) -> None:
    partial = folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_json(partial / LEARNING_CURVE, curve)
    sealed = {_SEAL: sha256(partial / LEARNING_CURVE)}
    save_state(partial / _STATE, {**algo.get_state(), **sealed})
    target = folder / f"{algo.iteration:05d}"
    shutil.rmtree(target, ignore_errors=True)  # a damaged one, if any
    partial.rename(target)
    for old in _found(folder)[:-_NUM_KEPT]:
        shutil.rmtree(old)


def restore_checkpoint(algo: Any, folder: Path) -> list[dict[str, Any]]:
    """Goes on from the newest checkpoint that is sound; returns its learning curve.

    Args:
        algo: RLlib's algorithm; stays as it is if there is none.
        folder: Of the checkpoints.
    """
    for path in reversed(_found(folder)):
        try:
            state = load_state(path / _STATE, allowed=_ARRAYS)
            curve = read_stored(path / LEARNING_CURVE, CURVE, "")
            iteration, actual = state["training_iteration"], sha256(path / LEARNING_CURVE)
            if state.pop(_SEAL, actual) != actual:  # checkpoints of earlier releases lack it
                raise ValueError(f"{LEARNING_CURVE} has another checksum")
        except (ValueError, KeyError, TypeError) as error:
            logger.warning(
                "damaged or not this release's, resuming from the one before or the warm start "
                "checkpoint=%s error=%s",
                path,
                first_line(error),
            )
            continue
        algo.set_state(state)
        logger.info("restored iteration=%d path=%s", iteration, path)
        return curve
    return []


def _found(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir())
