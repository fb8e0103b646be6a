"""The Fréchet distance without most of its sample-size bias, with a standard error.

The plain estimate is too large by a term in 1/n that dominates under some thousand samples. Deleting
blocks from both sides shows how large it is: the delete-block jackknife (Quenouille 1949; Künsch 1989)
takes it away and gives an error. Extrapolating to infinite n (Chong & Forsyth 2020) is the published
alternative; as published it shrinks the generated side only and leaves the other half of the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from evals.errors import MetricError
from evals.metrics.frechet import feature_sets, frechet_distance

BLOCKS = 20


class Unbiased(NamedTuple):
    """`value` (may be below 0), its standard error, the plain estimate, and the blocks' number."""

    value: float
    standard_error: float
    raw: float
    blocks: int

    @property
    def bias(self) -> float:
        """What the plain estimate has too much."""
        return self.raw - self.value

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Bounds from Student's t with one degree of freedom less than there are blocks."""
        half = float(scipy.stats.t.ppf((1 + level) / 2, self.blocks - 1)) * self.standard_error
        return self.value - half, self.value + half


def frechet_unbiased(
    a: ArrayLike,
    b: ArrayLike,
    ddof: int = 1,
    blocks: int = BLOCKS,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> Unbiased:
    """Jackknifed squared Fréchet distance of features (n, d) and (m, d): one block of each side at a time
    is deleted from both.

    Features are dealt to blocks at random, by `seed`; rows of one group (a prompt; on both sides, where it is
    on both) go to one block. There are fewer blocks where there are fewer groups. Raises `MetricError`
    for what `frechet_distance` refuses, and for fewer than 4 groups on a side.
    """
    x, y = feature_sets(a, b, ddof)
    names = groups or ([f"a{i}" for i in range(len(x))], [f"b{i}" for i in range(len(y))])
    if len(names[0]) != len(x) or len(names[1]) != len(y):
        raise MetricError("there is one group name for every row of both feature sets")
    blocks = min(blocks, *(len(set(side)) for side in names))
    if blocks < 4:
        raise MetricError(f"a jackknife needs 4 groups or more on both sides, not {blocks}")
    block_x, block_y = _dealt(names, blocks, np.random.default_rng(seed))
    raw = frechet_distance(x, y, ddof)
    less = np.array(
        [frechet_distance(x[block_x != j], y[block_y != j], ddof) for j in range(blocks)], np.float64
    )
    value = blocks * raw - (blocks - 1) * float(less.mean())
    error = float(np.sqrt((blocks - 1) / blocks * np.square(less - less.mean()).sum()))
    return Unbiased(value, error, raw, blocks)


def frechet_difference(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    groups: tuple[Sequence[str], ...],
    ddof: int = 1,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Unbiased:
    """How much further `a` lies from a reference than `b`, jackknifed: a block of groups at a time is deleted
    from all three sets. `groups` names those of every row of each. Valid where the sets have as many rows as
    dimensions: the caller sees to that. Raises `MetricError` as `frechet_unbiased` does.
    """
    x, z = feature_sets(a, reference, ddof)
    y, _ = feature_sets(b, reference, ddof)
    blocks = min(blocks, *(len(set(side)) for side in groups))
    if blocks < 4:
        raise MetricError(f"a jackknife needs 4 groups or more on all sides, not {blocks}")
    dealt = _dealt(groups, blocks, np.random.default_rng(seed))

    def difference(j: int | None) -> float:
        p, q, r = (rows if j is None else rows[of != j] for rows, of in zip((x, y, z), dealt, strict=True))
        return frechet_distance(p, r, ddof) - frechet_distance(q, r, ddof)

    raw, less = difference(None), np.array([difference(j) for j in range(blocks)], np.float64)
    value = blocks * raw - (blocks - 1) * float(less.mean())
    error = float(np.sqrt((blocks - 1) / blocks * np.square(less - less.mean()).sum()))
    return Unbiased(value, error, raw, blocks)


def _dealt(
    names: Sequence[Sequence[str]], blocks: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], ...]:
    """The block of every row: groups on more sides first, so that blocks are even on each."""
    sides: dict[str, list[int]] = {}
    for i, side in enumerate(names):
        for name in dict.fromkeys(side):
            sides.setdefault(name, []).append(i)
    dealt: dict[str, int] = {}
    for where in sorted({tuple(found) for found in sides.values()}, key=lambda found: (-len(found), found)):
        order = sorted(name for name, found in sides.items() if tuple(found) == where)
        for place, i in enumerate(rng.permutation(len(order))):
            dealt[order[int(i)]] = place % blocks
    return tuple(np.array([dealt[n] for n in side], np.int64) for side in names)


def frechet_extrapolated(
    a: ArrayLike,
    b: ArrayLike,
    ddof: int = 1,
    points: int = 15,
    shrink: Literal["generated", "both"] = "generated",
    seed: int = 0,
) -> float:
    """The distance of features `a` (generated, (n, d)) and `b` (reference, (m, d)) at infinite n: a line
    through subsamples of n/10 … n against 1/n (Chong & Forsyth 2020, with random subsets).

    `shrink="generated"` is as published. Raises `MetricError` for under 20 rows on a side that shrinks.
    """
    x, y = feature_sets(a, b, ddof)
    if min(len(x), len(y) if shrink == "both" else len(x)) < 20:
        raise MetricError("extrapolation needs 20 rows or more")
    rng = np.random.default_rng(seed)
    inverse, values = [], []
    for share in np.linspace(0.1, 1.0, points):
        p = rng.permutation(len(x))[: max(2, round(share * len(x)))]
        q = (
            rng.permutation(len(y))[: max(2, round(share * len(y)))]
            if shrink == "both"
            else np.arange(len(y))
        )
        inverse.append(1 / share)
        values.append(frechet_distance(x[p], y[q], ddof))
    return float(np.polyfit(inverse, values, 1)[1])
