"""What of one feature set lies among the other's neighbours: precision, recall, density, coverage, copies.

Precision and recall are Kynkäänniemi et al.'s (2019), density and coverage Naeem et al.'s (2020), on
k-nearest-neighbour balls. As in their code, a ball's edge belongs to it for the former and not for the
latter, which matters where rows are equal. Distances are computed in tiles, so memory goes by the
features alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evals.errors import MetricError

Matrix = NDArray[np.float64]
TILE = 1024


class Neighbours(NamedTuple):
    """Shares of the generated set that look real (`precision`, `density`; the latter may pass 1) and of
    the reference that is reached (`recall`, `coverage`)."""

    precision: float
    recall: float
    density: float
    coverage: float


class Copies(NamedTuple):
    """How close each generated row is to the reference: `distance` (n,) to and `nearest` (n,) number of the
    nearest row there; `closest`, the distance that 1 % of the reference's rows have to their own nearest;
    `share` of generated rows nearer than that."""

    distance: Matrix
    nearest: NDArray[np.int64]
    closest: float
    share: float


def neighbours(generated: ArrayLike, reference: ArrayLike, k: int = 5) -> Neighbours:
    """Precision, recall, density and coverage of features (n, d) to a reference (m, d), n and m above k.

    float32 input is kept as it is and computed tile by tile in float64. Raises `MetricError` for shapes
    that don't fit, NaN or infinity, or too few rows.
    """
    x, y = _sets(generated, reference, k)
    radius_x, radius_y = _radii(x, k), _radii(y, k)
    inside = np.zeros(len(x), np.int64)  # how many balls of the reference hold a generated row
    real = np.zeros(len(x), bool)
    reached = np.zeros(len(y), bool)
    covered = np.zeros(len(y), bool)
    for rows, columns, squares in _tiles(x, y):
        within = squares < radius_y[None, columns]
        inside[rows] += within.sum(1)
        covered[columns] |= within.any(0)
        real[rows] |= (squares <= radius_y[None, columns]).any(1)
        reached[columns] |= (squares <= radius_x[rows, None]).any(0)
    return Neighbours(
        float(real.mean()), float(reached.mean()), float(inside.sum() / (k * len(x))),
        float(covered.mean()),
    )  # fmt: skip


def copies(generated: ArrayLike, reference: ArrayLike) -> Copies:
    """Whether generated features (n, d) sit on top of reference ones (m, d): memorized clips."""
    x, y = _sets(generated, reference, 1)
    least, nearest = np.full(len(x), np.inf), np.zeros(len(x), np.int64)
    for rows, columns, squares in _tiles(x, y):
        best = squares.argmin(1)
        found = squares[np.arange(len(best)), best]
        better = found < least[rows]
        least[rows] = np.where(better, found, least[rows])
        nearest[rows] = np.where(better, best + columns.start, nearest[rows])
    closest = float(np.quantile(np.sqrt(_radii(y, 1)), 0.01))
    distance = np.sqrt(least)
    return Copies(distance, nearest, closest, float((distance < closest).mean()))


def _sets(a: ArrayLike, b: ArrayLike, k: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    found = []
    for name, value in (("generated", a), ("reference", b)):
        x = np.asarray(value)
        x = x if x.dtype == np.float32 else x.astype(np.float64)
        if x.ndim != 2 or x.shape[1] == 0:
            raise MetricError(f"{name} features are (n, d), not {x.shape}")
        if not np.isfinite(x).all():
            raise MetricError(f"{name} features hold NaN or infinity")
        if k < 1 or len(x) <= k:
            raise MetricError(f"{len(x)} {name} features are too few for {k} neighbours")
        found.append(x)
    x, y = found
    if x.shape[1] != y.shape[1]:
        raise MetricError(f"features have different dimensions: {x.shape[1]} and {y.shape[1]}")
    return x, y


def _tiles(x: NDArray[np.floating], y: NDArray[np.floating]) -> Iterator[tuple[slice, slice, Matrix]]:
    """Squared distances, tile by tile; what rounding leaves of equal rows is 0."""
    # Whole numbers, so that features that are whole numbers keep equal distances equal.
    centre = np.rint(y[: TILE * 4].mean(0, dtype=np.float64))
    for i in range(0, len(x), TILE):
        rows = slice(i, min(i + TILE, len(x)))
        p = x[rows].astype(np.float64) - centre
        length_p = np.square(p).sum(1)[:, None]
        for j in range(0, len(y), TILE):
            columns = slice(j, min(j + TILE, len(y)))
            q = y[columns].astype(np.float64) - centre
            lengths = length_p + np.square(q).sum(1)[None]
            squares = lengths - 2 * (p @ q.T)
            squares[squares < 1e-13 * lengths] = 0.0
            yield rows, columns, squares


def _radii(x: NDArray[np.floating], k: int) -> Matrix:
    """Squared distance of every row to its k-th nearest other row."""
    best = np.full((len(x), k), np.inf)
    for rows, columns, squares in _tiles(x, x):
        if rows.start == columns.start:
            np.fill_diagonal(squares, np.inf)
        both = np.concatenate([best[rows], squares], 1)
        best[rows] = np.partition(both, k - 1, 1)[:, :k]
    return np.asarray(best.max(1), np.float64)
