"""Curves at equal shares of their length.

Shapes: ``T`` env steps of one episode, ``P`` phases of normalised time, ``D`` dimensions.
"""

import numpy as np
from jaxtyping import Float, Float64

NUM_PHASES = 100
"""Points of normalised time that episodes are compared at."""


def resample(curve: Float[np.ndarray, "T D"]) -> Float64[np.ndarray, "P D"]:
    """Returns a curve at ``NUM_PHASES`` even shares of its length, by linear interpolation."""
    phases, shares = np.linspace(0, 1, NUM_PHASES), np.linspace(0, 1, len(curve))
    found = np.empty((NUM_PHASES, curve.shape[1]))
    for dimension in range(curve.shape[1]):
        found[:, dimension] = np.interp(phases, shares, curve[:, dimension])
    return found


def path_distance(one: Float[np.ndarray, "T 3"], other: Float[np.ndarray, "S 3"]) -> float:
    """Returns how far apart two paths are at the same share of their length, m.

    The root mean square over that share of the distance between the two hands.

    Args:
        one: Positions of the hand, m.
        other: Likewise, of another episode.
    """
    apart = resample(one) - resample(other)
    return float(np.sqrt(np.square(apart).sum(axis=1).mean()))
