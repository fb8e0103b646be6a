"""The kernel distance between two sets of features, and `kvd` on any encoder of the table.

The squared maximum mean discrepancy with the polynomial kernel (x·y/d + 1)³, unbiased: the diagonal is
left out, so that two samples of one distribution are 0 on average, and below it half of the time
(Gretton et al. 2012; KID: Bińkowski et al. 2018; KVD: Unterthiner et al. 2019).

Videos of one prompt resemble each other, whoever made them. Where both sets were made from the same
prompts, every such pair across the sets counts as likeness and none within them does, and the plain
estimate falls far below 0. So pairs of one prompt are left out everywhere: what remains are pairs of
different prompts on all sides, and equal generators are 0 on average again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evals.errors import MetricError
from evals.features import Rows
from evals.metrics import About, SetValue
from evals.metrics.frechet import Matrix, feature_sets, mean_feature
from evals.records import Spec

_CHUNK = 4 << 20  # entries of a kernel matrix at a time


class KernelDistance(NamedTuple):
    """An estimate and its standard error (jackknife: one group at a time is left out of both sets)."""

    value: float
    standard_error: float


def kernel_distance(
    a: ArrayLike,
    b: ArrayLike,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy of two feature sets, in float64.

    `a` (n, d) and `b` (m, d); the kernel is (gamma·x·y + coef0)^degree with gamma 1/d by default. `groups`
    names, for every row of both, what it has in common with others, such as its prompt: pairs of one group
    are left out, and groups are what is independent. Without, every row is on its own. May be negative.
    The standard error is infinite for fewer than three groups a side.

    Raises `MetricError` for arrays that `frechet_distance` refuses, or without pairs of different groups.
    """
    x, y = feature_sets(a, b)
    names = groups or ([f"a{i}" for i in range(len(x))], [f"b{i}" for i in range(len(y))])
    if len(names[0]) != len(x) or len(names[1]) != len(y):
        raise MetricError("there is one group name for every row of both feature sets")
    known = {name: i for i, name in enumerate(dict.fromkeys([*names[0], *names[1]]))}
    gx, gy = (np.array([known[name] for name in side], np.int64) for side in names)
    scale = 1 / x.shape[1] if gamma is None else gamma

    def sums(p: Matrix, q: Matrix, gp: NDArray[np.int64], gq: NDArray[np.int64]) -> _Sums:
        return _sums(p, q, gp, gq, len(known), degree, scale, coef0)

    within_x, within_y, across = sums(x, x, gx, gx), sums(y, y, gy, gy), sums(x, y, gx, gy)
    if min(part.pairs for part in (within_x, within_y, across)) < 1:
        raise MetricError("a kernel distance needs rows of at least two groups on both sides")
    value = within_x.mean() + within_y.mean() - 2 * across.mean()
    if min(len(set(side)) for side in names) < 3:
        return KernelDistance(value, float("inf"))
    less = within_x.without() + within_y.without() - 2 * across.without()
    # Groups on one side only are spread over that side's count, as in a two-sample jackknife.
    both = np.isin(np.arange(len(known)), gx) & np.isin(np.arange(len(known)), gy)
    variance = 0.0
    for part in (
        both,
        np.isin(np.arange(len(known)), gx) & ~both,
        np.isin(np.arange(len(known)), gy) & ~both,
    ):
        count = int(part.sum())
        variance += float(np.square(less[part] - value).sum()) * (count - 1) / count if count else 0.0
    return KernelDistance(value, float(np.sqrt(variance)))


def matched_kernel_distances(
    a: ArrayLike,
    b: ArrayLike,
    groups: tuple[Sequence[str], Sequence[str]],
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
) -> dict[str, float]:
    """The unbiased kernel distance within each group with two rows or more on both sides, by its name.

    Where groups are prompts and rows are seeds, the mean over groups asks whether videos of the *same*
    prompt differ, which content can't hide, and its error follows from the spread over groups. Arguments
    and errors are those of `kernel_distance`; no such group is a `MetricError`.
    """
    x, y = feature_sets(a, b)
    if len(groups[0]) != len(x) or len(groups[1]) != len(y):
        raise MetricError("there is one group name for every row of both feature sets")
    gx, gy = (np.array(side) for side in groups)
    found = {}
    for name in dict.fromkeys(groups[0]):
        p, q = x[gx == name], y[gy == name]
        if len(p) > 1 and len(q) > 1:
            found[str(name)] = kernel_distance(p, q, None, degree, gamma, coef0).value
    if not found:
        raise MetricError("a matched kernel distance needs two rows of one group on both sides")
    return found


class _Sums(NamedTuple):
    """Kernel values over all pairs of different groups: their sum and number, and what each group has in
    them (both its rows and its columns)."""

    total: float
    pairs: float
    of_group: NDArray[np.float64]
    pairs_of_group: NDArray[np.float64]

    def mean(self) -> float:
        return self.total / self.pairs

    def without(self) -> NDArray[np.float64]:
        """The mean with one group left out, for every group."""
        return (self.total - self.of_group) / (self.pairs - self.pairs_of_group)


def _sums(
    x: Matrix,
    y: Matrix,
    gx: NDArray[np.int64],
    gy: NDArray[np.int64],
    groups: int,
    degree: int,
    gamma: float,
    coef0: float,
) -> _Sums:
    rows = max(1, _CHUNK // len(y))
    of_group, counted = np.zeros(groups), np.zeros(groups)
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        apart = gx[part, None] != gy[None]
        kernel = ((x[part] @ y.T) * gamma + coef0) ** degree * apart
        np.add.at(of_group, gx[part], kernel.sum(1))
        np.add.at(of_group, gy, kernel.sum(0))
        np.add.at(counted, gx[part], apart.sum(1))
        np.add.at(counted, gy, apart.sum(0))
    return _Sums(float(of_group.sum() / 2), float(counted.sum() / 2), of_group, counted)


class KernelVideoDistance:
    """Kernel distance between the features of two sets of videos (unbiased, polynomial of degree 3).

    A video's feature is the mean over its windows. Pairs of videos of one prompt are left out. Near 0, and
    often below, where both sets are alike, whatever their size.
    """

    takes = "ENCODER"
    reads: tuple[str, ...] = ()
    protocol = "mean over windows, (x·y/d + 1)³, unbiased, pairs of different prompts; jackknife over prompts"

    def __init__(self, encoder: str) -> None:
        params = {"degree": 3, "gamma": "1/d", "coef0": 1, "pool": "mean", "pairs": "different prompts"}
        self.spec = Spec(name="kvd", version=1, params=params)
        self.about = About(
            "lower", None, None, source="Unterthiner et al. 2019; Bińkowski et al. 2018",
            note=f"on mean-pooled {encoder} features; below 0 means no difference",
        )  # fmt: skip
        self.needs = (f"encoder:{encoder}",)

    def pool(self, rows: Mapping[str, Rows]) -> Matrix:
        return mean_feature(rows[self.needs[0]])

    def compute(self, a: Matrix, b: Matrix, prompts: tuple[Sequence[str], Sequence[str]]) -> SetValue:
        value, error = kernel_distance(a, b, prompts)
        if not np.isfinite(error):
            return SetValue(value, len(a), len(b), ("with fewer than 3 prompts a side there is no interval",))
        half = 1.959964 * error
        return SetValue(value, len(a), len(b), low=value - half, high=value + half)
