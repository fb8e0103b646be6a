"""Whether repeats of one model fall into two clusters, as with kernels that choose one of two paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evals.gate.records import Bistability

LIMIT = 5 / 9
"""Of Sarle's coefficient: that of a uniform distribution."""
CRITICAL = {
    8: 0.4356, 12: 0.4506, 20: 0.4685, 30: 0.4833, 50: 0.4933, 100: 0.5122, 200: 0.5178, 400: 0.5262,
}  # fmt: skip
"""√n times the dip that 5 % of samples of n uniform values exceed (20,000 samples each)."""
LEAST, MOST = 8, 400
"""Under so few values nothing is said; of more, so many are taken, evenly through the sorted ones."""

Array = NDArray[np.float64]


def bistability(values: ArrayLike) -> Bistability:
    """Both signs of two clusters, and their means where both are there."""
    x = np.sort(np.asarray(values, np.float64))
    if len(x) > MOST:
        x = x[np.linspace(0, len(x) - 1, MOST).round().astype(int)]
    if len(x) < LEAST or x[0] == x[-1]:
        return Bistability(coefficient=0.0, dip=0.0, limit=1.0, bistable=False)
    coefficient, found = sarle(x), dip(x)
    limit = float(np.interp(len(x), list(CRITICAL), list(CRITICAL.values()))) / len(x) ** 0.5
    if not (coefficient > LIMIT and found > limit):
        return Bistability(coefficient=coefficient, dip=found, limit=limit, bistable=False)
    cut = _cut(x)
    low, high = float(x[:cut].mean()), float(x[cut:].mean())
    return Bistability(coefficient=coefficient, dip=found, limit=limit, bistable=True, low=low, high=high)


def sarle(x: Array) -> float:
    """Sarle's bimodality coefficient (skewness² + 1) / kurtosis with the correction for small samples (SAS
    Institute 1990), of at least four values that are not all equal."""
    import scipy.stats

    n = len(x)
    skewness = float(scipy.stats.skew(x, bias=False))
    kurtosis = float(scipy.stats.kurtosis(x, bias=False))
    return (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))


def dip(x: Array) -> float:
    """Hartigan's dip of sorted values: the largest distance of their distribution function from the nearest
    unimodal one (Hartigan & Hartigan 1985, section 3).

    Left of the mode the nearest one is convex, right of it concave. The interval that holds the mode shrinks
    to where the greatest convex minorant and the least concave majorant are furthest apart, until nothing
    outside of it is further from them than that."""
    points, counts = np.unique(x, return_counts=True)
    after = np.cumsum(counts) / len(x)
    before = after - counts / len(x)
    low, high, found = 0, len(points) - 1, 1 / len(x)
    while low < high:
        inside = np.arange(low, high + 1)
        convex, concave = _hull(points, before, inside, 1), _hull(points, after, inside, -1)
        minorant = np.interp(points[inside], points[convex], before[convex])
        majorant = np.interp(points[inside], points[concave], after[concave])
        gaps = majorant - minorant
        place = max(sorted({*convex, *concave}), key=lambda i: gaps[i - low])
        if gaps[place - low] <= found:
            break
        left = max((i for i in convex if i <= place), default=low)
        right = min((i for i in concave if i >= place), default=high)
        # A step at either end of the interval may be the mode itself and is no distance.
        outside_left = after[low:left] - minorant[: left - low]
        outside_right = majorant[right - low + 1 :] - before[right + 1 : high + 1]
        found = max(found, float(outside_left.max(initial=0)), float(outside_right.max(initial=0)))
        if (left, right) == (low, high):
            break
        low, high = left, right
    return found / 2


def _hull(points: Array, values: Array, inside: NDArray[np.intp], side: int) -> list[int]:
    """Places of the corners of the lower (1) or upper (−1) hull."""
    hull: list[int] = []
    for c in inside.tolist():
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            rise = (values[b] - values[a]) * (points[c] - points[a])
            if side * (rise - (values[c] - values[a]) * (points[b] - points[a])) < 0:
                break
            hull.pop()
        hull.append(c)
    return hull


def _cut(x: Array) -> int:
    """Where two clusters part: the split with the least sum of squares."""
    n = np.arange(1, len(x))
    sums, squares = np.cumsum(x), np.cumsum(x**2)
    left = squares[:-1] - sums[:-1] ** 2 / n
    right = (squares[-1] - squares[:-1]) - (sums[-1] - sums[:-1]) ** 2 / (len(x) - n)
    return int((left + right).argmin()) + 1
