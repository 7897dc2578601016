"""Statistics of a dataset's features as LeRobot stores them, in one pass and constant memory."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped, UInt8, UInt16

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NUM_MOMENTS = 4 + len(QUANTILES)
"""Of the maps of an episode: min, max, mean, std and the quantiles."""
_MAX_ROWS = 100_000  # kept for quantiles: exact up to here, then of a uniform sample
_MAX_FRAMES = 32  # of an episode, for the statistics of its images

Statistics = Mapping[str, np.ndarray]


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


def _evenly_spaced(images: Shaped[np.ndarray, "T ..."]) -> Shaped[np.ndarray, "F ..."]:
    count = min(len(images), _MAX_FRAMES)
    return images[np.linspace(0, len(images) - 1, count).round().astype(int)]


def map_moments(maps: UInt16[np.ndarray, "T H W"]) -> Float64[np.ndarray, " 9"]:
    """Returns min, max, mean, std and the quantiles of evenly spaced maps of an episode."""
    values = _evenly_spaced(maps).reshape(-1)
    moments = [values.min(), values.max(), values.mean(), values.std()]
    return np.array([*moments, *np.quantile(values, list(QUANTILES.values()))])


def map_statistics(
    moments: Float64[np.ndarray, "E 9"], weights: Float64[np.ndarray, " E"]
) -> Statistics:
    """Returns statistics of the maps of some episodes, in their own unit; arrays of ``[1, 1, 1]``.

    Args:
        moments: Of each episode, of ``map_moments``.
        weights: How many maps each is of. Quantiles are the mean of the episodes', as lerobot's.
    """
    share = weights / weights.sum()
    low, high, mean, std = moments[:, :4].T
    centre = share @ mean
    values = {
        "min": low.min(),
        "max": high.max(),
        "mean": centre,
        "std": np.sqrt(share @ (std**2 + (mean - centre) ** 2)),
        **dict(zip(QUANTILES, share @ moments[:, 4:], strict=True)),
    }
    count = np.array([int(weights.sum())])
    return {"count": count, **{n: np.reshape(value, (1, 1, 1)) for n, value in values.items()}}


def image_histogram(images: UInt8[np.ndarray, "T H W 3"]) -> Int64[np.ndarray, "3 256"]:
    """Returns how often each colour of evenly spaced images of an episode has each level."""
    chosen = _evenly_spaced(images)
    return np.stack([np.bincount(chosen[..., c].ravel(), minlength=256) for c in range(3)])


def image_statistics(histogram: Int64[np.ndarray, "3 256"], num_frames: int) -> Statistics:
    """Returns statistics of each colour, in [0, 1]; arrays of ``[3, 1, 1]``.

    Args:
        histogram: Sum of those of the images.
        num_frames: How many images it is of.
    """
    levels = np.arange(256) / 255
    share = histogram / histogram.sum(1, keepdims=True)
    below = share.cumsum(1)
    mean = share @ levels
    values = {
        "min": levels[(histogram > 0).argmax(1)],
        "max": levels[255 - (histogram[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0)),
        **{name: levels[(below >= q).argmax(1)] for name, q in QUANTILES.items()},
    }
    count = np.array([num_frames])
    return {"count": count, **{name: v.reshape(3, 1, 1) for name, v in values.items()}}


def plain(values: Statistics) -> dict[str, Any]:
    """Returns statistics as lists."""
    return {name: value.tolist() for name, value in values.items()}


class DatasetStatistics:
    """Statistics of every feature, of each episode and of all."""

    def __init__(self) -> None:
        self._vectors: dict[str, RunningVectors] = {}
        self._histograms: dict[str, np.ndarray] = {}
        self._moments: dict[str, list[np.ndarray]] = {}
        self._num_frames: list[int] = []  # of each episode, that are in the histograms

    def add(
        self,
        columns: Mapping[str, np.ndarray],
        histograms: Mapping[str, np.ndarray],
        moments: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> dict[str, Statistics]:
        """Takes in an episode; returns its own statistics.

        Args:
            columns: ``[T, D]`` rows of each feature.
            histograms: Of the images of each camera, of ``image_histogram``.
            moments: Of the maps of each camera, of ``map_moments``.
        """
        num_frames = min(len(next(iter(columns.values()))), _MAX_FRAMES)
        self._num_frames.append(num_frames)
        own: dict[str, Statistics] = {}
        for name, histogram in histograms.items():
            self._histograms[name] = self._histograms.get(name, 0) + histogram
            own[name] = image_statistics(histogram, num_frames)
        for name, row in moments.items():
            self._moments.setdefault(name, []).append(row)
            own[name] = map_statistics(row[None], np.array([float(num_frames)]))
        for name, values in columns.items():
            self._vectors.setdefault(name, RunningVectors()).add(values)
            episode = RunningVectors()
            episode.add(values)
            own[name] = episode.result()
        return own

    def result(self) -> dict[str, Statistics]:
        """Returns those of all episodes."""
        weights = np.array(self._num_frames, np.float64)
        total = sum(self._num_frames)
        images = {name: image_statistics(h, total) for name, h in self._histograms.items()}
        maps = {name: map_statistics(np.stack(m), weights) for name, m in self._moments.items()}
        return {**images, **maps, **{name: each.result() for name, each in self._vectors.items()}}
