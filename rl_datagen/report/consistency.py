"""How alike episodes are at the same share of their length.

Shapes: ``T`` env steps of one episode, ``P`` phases of normalised time, ``D`` dimensions.
"""

import numpy as np
from jaxtyping import Float, Float64

from rl_datagen.core.curves import NUM_PHASES, resample


class Spread:
    """Mean and variance of curves over normalised time, from running sums.

    Welford 1962, "Note on a method for calculating corrected sums of squares and products": memory
    does not grow with the number of curves.

    Attributes:
        count: Curves so far.
        mean: Their mean at each phase.
    """

    def __init__(self, num_dimensions: int) -> None:
        self.count = 0
        self.mean: Float64[np.ndarray, "P D"] = np.zeros((NUM_PHASES, num_dimensions))
        self._squares = np.zeros_like(self.mean)

    def add(self, curve: Float[np.ndarray, "T D"]) -> float:
        """Takes one more curve and returns what it says about the variance.

        Returns:
            The growth of the sum of squared deviations, mean over phases and dimensions; NaN for
            the first curve. Each of these is an unbiased estimate of the variance, uncorrelated
            with the others (Helmert's contrasts), and their mean is exactly the sample variance:
            a bootstrap over them needs no curve again.
        """
        at = resample(curve)
        self.count += 1
        deviation = at - self.mean
        self.mean = self.mean + deviation / self.count
        growth = deviation * (at - self.mean)
        self._squares = self._squares + growth
        return float(growth.mean()) if self.count > 1 else float("nan")

    def variance(self, ddof: int = 1) -> Float64[np.ndarray, "P D"]:
        """Returns the variance over the curves, by default the unbiased one; NaN without any."""
        if self.count <= ddof:
            return np.full_like(self.mean, np.nan)
        return self._squares / (self.count - ddof)
