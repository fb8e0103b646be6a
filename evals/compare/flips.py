"""The sign-flip test of paired differences, and its inversion: the interval that agrees with it.

Under the null a prompt's difference is as likely as its opposite, so its sign may be flipped. Flipping the
signs of a subset makes the sum of all differences as large as the observed one exactly where the subset's
mean is at most 0. So the means of subsets hold everything: how many of them lie at or below a bound is the
p of "the true mean is above that bound", and their quantiles are the interval (Hartigan 1969). Test and
interval come from the same subsets and cannot contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

EXACT_UP_TO = 14
FLIPS = 19_999
_BLOCK = 2_000_000  # entries of the sign matrix at a time
_SEED = 0x5F11B


@dataclass(frozen=True)
class SignFlip:
    """The mean of n paired differences with its test. `subsets` are the sorted means of the subsets whose
    signs were flipped; the observed signs count as one flip more (Phipson & Smyth 2010)."""

    mean: float
    n: int
    subsets: Array = field(repr=False)

    @property
    def flips(self) -> int:
        return len(self.subsets) + 1

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p: evidence that the true mean is above `bound`."""
        return float(1 + np.searchsorted(self.subsets, bound, side="right")) / self.flips

    def p_below(self, bound: float = 0.0) -> float:
        """One-sided p: evidence that the true mean is below `bound`."""
        return float(self.flips - np.searchsorted(self.subsets, bound, side="left")) / self.flips

    @property
    def p(self) -> float:
        """Two-sided p of "the true mean is 0"."""
        return min(1.0, 2 * min(self.p_above(), self.p_below()))

    @property
    def smallest(self) -> float:
        """The smallest p that this number of prompts could give."""
        return min(1.0, 2 / self.flips)

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """All means that the two-sided test at 1 − `level` does not reject; None where it can reject none.

        It excludes 0 exactly where `p` is at most 1 − `level`.
        """
        k = int((1 - level) / 2 * self.flips + 1e-9)
        if k < 1 or k > len(self.subsets) // 2 + 1:
            return None
        return float(self.subsets[k - 1]), float(self.subsets[-k])

    def within(self, margin: float) -> float:
        """p of two one-sided tests: evidence that the true mean lies within ±`margin` (Schuirmann 1987)."""
        return max(self.p_above(-margin), self.p_below(margin))


def sign_flips(columns: ArrayLike, flips: int = FLIPS) -> list[SignFlip | None]:
    """Test every column of differences (n, c), a row per prompt; NaN is a prompt without a difference.

    Exact up to 14 differences, else by `flips` random subsets, which are the same for every column and every
    call with as many rows. None for a column without differences.
    """
    x = np.asarray(columns, np.float64)
    present = ~np.isnan(x)
    counts = present.sum(0)
    found: list[SignFlip | None] = [None] * x.shape[1]
    for j in np.flatnonzero((counts > 0) & (counts <= EXACT_UP_TO)):
        found[j] = _exact(x[present[:, j], j])
    sampled = np.flatnonzero(counts > EXACT_UP_TO)
    step = max(1, 40_000_000 // flips)
    for start in range(0, len(sampled), step):
        chosen = sampled[start : start + step]
        for j, one in zip(chosen, _sampled(x[:, chosen], present[:, chosen], flips), strict=True):
            found[j] = one
    return found


def sign_flip(differences: ArrayLike, flips: int = FLIPS) -> SignFlip:
    """Test one set of differences (n,), n at least 1."""
    found = sign_flips(np.asarray(differences, np.float64)[:, None], flips)[0]
    assert found is not None
    return found


@lru_cache(maxsize=EXACT_UP_TO)
def _all_subsets(n: int) -> Array:
    """Membership (2ⁿ − 1, n) of every subset but the empty one."""
    return ((np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _exact(x: Array) -> SignFlip:
    member = _all_subsets(len(x))
    return _made(x, (member @ x) / member.sum(1))


def _sampled(x: Array, present: NDArray[np.bool_], flips: int) -> list[SignFlip]:
    """Columns with many differences. One product of the membership matrix gives all sums."""
    n = len(x)
    filled = np.where(present, x, 0.0)
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    which = np.ravel(which)
    means = np.empty((x.shape[1], flips))
    rng = np.random.default_rng([_SEED, n])
    for start in range(0, flips, rows := max(1, _BLOCK // n)):
        block = min(rows, flips - start)
        member = rng.integers(0, 2, (block, n), dtype=np.int8).astype(np.float64)
        sizes = (member @ patterns.astype(np.float64))[:, which]
        sums = member @ filled
        # An empty subset is replaced by the full one, its mirror image.
        empty = sizes == 0
        sizes = np.where(empty, present.sum(0), sizes)
        sums = np.where(empty, filled.sum(0), sums)
        means[:, start : start + block] = (sums / sizes).T
    return [_made(x[present[:, j], j], means[j]) for j in range(x.shape[1])]


def _made(x: Array, means: Array) -> SignFlip:
    """Sums that are 0 but for rounding are 0, so that ties count as ties."""
    means[np.abs(means) <= 1e-12 * np.abs(x).mean()] = 0.0
    means.sort()
    return SignFlip(float(x.mean()), len(x), means)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the chance of any false claim in the family."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float = 0.05) -> list[float]:
    """The level 1 − α/k at which Holm's procedure decides each hypothesis: a rejected one at the step that
    rejected it, all others at the first step that rejects nothing.

    An interval at this level, from the same test, excludes 0 exactly where the adjusted p is at most α.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels = [0.0] * len(p_values)
    left, rejecting = len(p_values), True
    for i in order:
        rejecting = rejecting and p_values[i] <= alpha / left
        levels[i] = 1 - alpha / left
        left -= rejecting
    return levels
