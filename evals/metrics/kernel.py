"""Kernel distances between two sets of features.

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
from evals.metrics.frechet import Matrix, feature_sets

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
    value, left_out = _left_out(a, b, groups, degree, gamma, coef0)
    if min(sum(side in where for where, _ in left_out.values()) for side in "01") < 3:
        return KernelDistance(value, float("inf"))
    return KernelDistance(value, _jackknife_error(value, left_out))


class KernelDifference(NamedTuple):
    """How much further one set lies from a reference than another, with the jackknife's standard error and
    its degrees of freedom."""

    value: float
    standard_error: float
    freedom: int


def kernel_difference(
    a: ArrayLike, b: ArrayLike, reference: ArrayLike, groups: tuple[Sequence[str], ...]
) -> KernelDifference:
    """`kernel_distance(a, reference)` − `kernel_distance(b, reference)`, with the standard error of the
    difference: one group at a time is left out of all three sets. `groups` names those of every row of each.

    Sign flips and swaps of the two sets are invalid here: they hold only where both are equally far from the
    reference in the same way. Raises `MetricError` as `kernel_distance` does, and for under three groups.
    """
    first, less_a = _left_out(a, reference, (groups[0], groups[2]), 3, None, 1.0)
    second, less_b = _left_out(b, reference, (groups[1], groups[2]), 3, None, 1.0)
    ours = set(groups[0]) | set(groups[1])
    if len(ours) < 3:
        raise MetricError("the error of a difference needs three groups")
    value = first - second
    where: dict[str, str] = {}
    for i, side in enumerate(groups):
        for name in dict.fromkeys(side):
            where[name] = where.get(name, "") + str(i)
    # A group that one distance does not have leaves that distance as it is.
    less = {
        name: (where[name], less_a.get(name, ("", first))[1] - less_b.get(name, ("", second))[1])
        for name in where
    }
    return KernelDifference(value, _jackknife_error(value, less), len(ours) - 1)


def _jackknife_error(value: float, left_out: Mapping[str, tuple[str, float]]) -> float:
    """From the estimate without each group. Groups on the same sides are exchangeable; those on one side only
    are spread over that side's count, as in a two-sample jackknife."""
    strata: dict[str, list[float]] = {}
    for sides, less in left_out.values():
        strata.setdefault(sides, []).append(less)
    variance = sum(
        float(np.square(np.array(less) - value).sum()) * (len(less) - 1) / len(less)
        for less in strata.values()
    )
    return float(np.sqrt(variance))


def _left_out(
    a: ArrayLike,
    b: ArrayLike,
    groups: tuple[Sequence[str], Sequence[str]] | None,
    degree: int,
    gamma: float | None,
    coef0: float,
) -> tuple[float, dict[str, tuple[str, float]]]:
    """The distance, and by group on which sides it is (`0`, `1`, `01`) and the distance without it."""
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
    with np.errstate(divide="ignore", invalid="ignore"):
        less = within_x.without() + within_y.without() - 2 * across.without()
    first, second = set(names[0]), set(names[1])
    sides = {name: "01" if name in first & second else "0" if name in first else "1" for name in known}
    return value, {name: (sides[name], float(less[i])) for name, i in known.items()}


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


def kernel_equality(
    a: ArrayLike,
    b: ArrayLike,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> float:
    """p of the hypothesis that both feature sets come from one distribution, by permutation of `kvd`.

    Features change sides at random; with `groups`, a group on both sides changes them as a whole, and groups
    of one side are dealt anew. The observed sets count as one of the permutations (Phipson & Smyth 2010)."""
    x, y = feature_sets(a, b)
    names = groups or ([f"a{i}" for i in range(len(x))], [f"b{i}" for i in range(len(y))])
    if len(names[0]) != len(x) or len(names[1]) != len(y):
        raise MetricError("there is one group name for every row of both feature sets")
    rows, known = np.concatenate([x, y]), np.unique([*names[0], *names[1]], return_inverse=True)[1]
    base = rows @ rows.T / rows.shape[1] + 1
    kernel = base * base * base * (known[:, None] != known[None])
    apart = (known[:, None] != known[None]).astype(np.float64)
    first = np.arange(len(rows)) < len(x)
    count = int(known.max()) + 1
    left, right = (np.bincount(known[side], minlength=count) > 0 for side in (first, ~first))
    lone = np.flatnonzero(left != right)
    rng = np.random.default_rng(seed)

    sides = [first]
    for _ in range(permutations):
        swap = rng.integers(0, 2, count).astype(bool)
        swap[lone] = left[lone] != left[rng.permutation(lone)]
        sides.append(first ^ swap[known])
    p = np.array(sides, np.float64)

    def means(matrix: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """Sums within the first side, within the second and across, for every row of `p`."""
        product, rows_of = p @ matrix, matrix.sum(0)
        within, half = (p * product).sum(1), p @ rows_of
        return within, rows_of.sum() - 2 * half + within, half - within

    sums, pairs = means(kernel), means(apart)
    ours, theirs, across = (s / np.maximum(n, 1.0) for s, n in zip(sums, pairs, strict=True))
    distance = ours + theirs - 2 * across
    return float((distance >= distance[0] - 1e-9 * abs(distance[0])).sum()) / (permutations + 1)


def mmd2(a: ArrayLike, b: ArrayLike) -> float:
    """JEDi's distance: 100 × the biased squared maximum mean discrepancy with the kernel (x·y/d)² (Luo et
    al. 2024). `a` (n, d), `b` (m, d); never negative. Only on V-JEPA 1 features is it called JEDi.

    Raises `MetricError` for arrays that `frechet_distance` refuses.
    """
    x, y = feature_sets(a, b)
    if len(x) + len(y) > x.shape[1]:  # the kernel's own features: second moments
        difference = (x.T @ x) / len(x) - (y.T @ y) / len(y)
        return float(100 * np.square(difference / x.shape[1]).sum())
    within, other, across = (np.square(p @ q.T / x.shape[1]).mean() for p, q in ((x, x), (y, y), (x, y)))
    return max(0.0, float(100 * (within + other - 2 * across)))


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
        base = (x[part] @ y.T) * gamma + coef0
        kernel = apart * base
        for _ in range(degree - 1):  # many times faster than raising to a power
            kernel *= base
        for numbers, axis in ((gx[part], 1), (gy, 0)):
            of_group += np.bincount(numbers, kernel.sum(axis), groups)
            counted += np.bincount(numbers, apart.sum(axis), groups)
    return _Sums(float(of_group.sum() / 2), float(counted.sum() / 2), of_group, counted)
