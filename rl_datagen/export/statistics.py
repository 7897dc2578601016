"""Statistics of a dataset's features as LeRobot stores them, in one pass and constant memory."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Float, Shaped, UInt8

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_MAX_ROWS = 100_000  # kept for quantiles: exact up to here, then of a uniform sample
_MAX_FRAMES = 32  # of an episode, for the statistics of its images

Statistics = Mapping[str, np.ndarray]


class Running(Protocol):
    """Statistics that grow with the data."""

    def add(self, values: np.ndarray) -> None:
        """Takes in the rows of an episode."""
        ...

    def result(self) -> Statistics:
        """Returns min, max, mean, std, count and the quantiles so far."""
        ...


class RunningVectors:
    """Statistics of each entry of a vector."""

    def __init__(self) -> None:
        self._count = 0
        self._random = np.random.default_rng(0)

    def add(self, values: Shaped[np.ndarray, "T D"]) -> None:
        """Takes in the rows of an episode."""
        values = values.astype(np.float64)
        if not self._count:
            width = values.shape[1]
            self._min, self._max = np.full(width, np.inf), np.full(width, -np.inf)
            self._mean, self._squares = np.zeros(width), np.zeros(width)
            self._sample = np.empty((0, width))
            self._keys = np.empty(0)
        total = self._count + len(values)
        # Chan, Golub and LeVeque 1983: means and sums of squared deviations of two parts add up.
        shift = values.mean(0) - self._mean
        self._squares += values.var(0) * len(values)
        self._squares += shift**2 * (self._count * len(values) / total)
        self._mean += shift * (len(values) / total)
        self._min = np.minimum(self._min, values.min(0))
        self._max = np.maximum(self._max, values.max(0))
        self._count = total
        self._keep(values)

    def result(self) -> Statistics:
        """Returns min, max, mean, std, count and the quantiles so far; arrays of ``[D]``."""
        quantiles = np.quantile(self._sample, list(QUANTILES.values()), axis=0)
        return {
            "min": self._min,
            "max": self._max,
            "mean": self._mean,
            "std": np.sqrt(self._squares / self._count),
            "count": np.array([self._count]),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }

    def _keep(self, values: Float[np.ndarray, "T D"]) -> None:
        """Keeps the rows with the smallest random keys, which is a uniform sample of all rows."""
        self._sample = np.concatenate([self._sample, values])
        self._keys = np.concatenate([self._keys, self._random.random(len(values))])
        if len(self._keys) > _MAX_ROWS:
            kept = np.argpartition(self._keys, _MAX_ROWS)[:_MAX_ROWS]
            self._sample, self._keys = self._sample[kept], self._keys[kept]


class RunningImages:
    """Statistics of each colour of images, in [0, 1], from their histograms."""

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), np.int64)
        self._frames = 0

    def add(self, values: UInt8[np.ndarray, "T H W 3"]) -> None:
        """Takes in evenly spaced images of an episode."""
        count = min(len(values), _MAX_FRAMES)
        chosen = values[np.linspace(0, len(values) - 1, count).round().astype(int)]
        for colour in range(3):
            self._histogram[colour] += np.bincount(chosen[..., colour].ravel(), minlength=256)
        self._frames += count

    def result(self) -> Statistics:
        """Returns min, max, mean, std, count and the quantiles so far; arrays of ``[3, 1, 1]``."""
        levels = np.arange(256) / 255
        share = self._histogram / self._histogram.sum(1, keepdims=True)
        below = share.cumsum(1)
        mean = share @ levels
        values = {
            "min": levels[(self._histogram > 0).argmax(1)],
            "max": levels[255 - (self._histogram[:, ::-1] > 0).argmax(1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0)),
            **{name: levels[(below >= q).argmax(1)] for name, q in QUANTILES.items()},
        }
        count = np.array([self._frames])
        return {"count": count, **{name: v.reshape(3, 1, 1) for name, v in values.items()}}


class DatasetStatistics:
    """Statistics of every feature, of each episode and of all."""

    def __init__(self) -> None:
        self._all: dict[str, Running] = {}

    def add(self, columns: Mapping[str, np.ndarray]) -> dict[str, Statistics]:
        """Takes in an episode, ``[T, H, W, 3]`` images and ``[T, D]`` rows; returns its own."""
        own: dict[str, Statistics] = {}
        for name, values in columns.items():
            kind = RunningImages if values.ndim == 4 else RunningVectors
            self._all.setdefault(name, kind()).add(values)
            episode = kind()
            episode.add(values)
            own[name] = episode.result()
        return own

    def result(self) -> dict[str, Statistics]:
        """Returns those of all episodes."""
        return {name: statistics.result() for name, statistics in self._all.items()}
