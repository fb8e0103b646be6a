"""Mean and covariance of features that come in parts, without keeping them.

Parts are joined as Chan, Golub & LeVeque (1983) do: sums of squares about each part's own mean. Raw sums
lose 7 of 16 digits where the mean is ten thousand times the spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evals.errors import MetricError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """`n` rows, their mean (d,), and the sum of outer products about it (d, d), in float64."""

    n: int
    mean: Matrix
    scatter: Matrix

    @classmethod
    def of(cls, features: ArrayLike) -> Moments:
        """Moments of rows (n, d). Raises `MetricError` for another shape, no rows, NaN or infinity."""
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or 0 in x.shape:
            raise MetricError(f"features are (n, d), not {x.shape}")
        if not np.isfinite(x).all():
            raise MetricError("features hold NaN or infinity")
        mean = x.mean(0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def __add__(self, other: Moments) -> Moments:
        """Moments of both together. Raises `MetricError` for another d."""
        if self.mean.shape != other.mean.shape:
            raise MetricError(f"features have different dimensions: {self.mean.size} and {other.mean.size}")
        n = self.n + other.n
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    def covariance(self, ddof: int = 1) -> Matrix:
        """(d, d), divided by n − ddof. Raises `MetricError` for too few rows."""
        if self.n <= ddof:
            raise MetricError(f"{self.n} rows have no covariance with ddof {ddof}")
        return np.asarray(self.scatter / (self.n - ddof), np.float64)
