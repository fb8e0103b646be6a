"""Statistics of a comparison: pure functions on arrays.

The unit of inference is the prompt: seeds of one prompt are averaged first. Every random step takes its
seed from the caller, so that the same data give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_PROMPTS = 20
Z95 = 1.959963984540054
Z80 = 0.8416212335729143
EXACT_UP_TO = 14

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over prompts. `low` and `high` bound its 95 % interval; None where none is valid."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(
    values: ArrayLike, seed: int, samples: int | None = None, binary: bool = False, resamples: int = 4000
) -> Estimate:
    """Mean of one value per prompt with its 95 % interval; none under 20 prompts or where nothing varies.

    Continuous scores: studentised bootstrap (Efron & Tibshirani 1993, 12.5), which covers better than
    percentiles for skewed scores. Rates (`binary`): Wilson's interval, its sample size corrected for
    prompts that hold several seeds; `samples` counts them all. `values` (n,) finite, n at least 1.
    """
    x = np.asarray(values, np.float64)
    n, mean = x.size, float(x.mean())
    if n < MIN_PROMPTS:
        return Estimate(mean, None, None, n)
    bounds = _wilson(x, samples or n) if binary else _studentised(x, seed, resamples)
    low, high = bounds or (None, None)
    return Estimate(mean, low, high, n)


def difference_interval(
    values: ArrayLike, seed: int, binary: bool = False, resamples: int = 4000
) -> Estimate:
    """Mean of one paired difference per prompt with its 95 % interval; none under 20 prompts.

    Continuous: studentised bootstrap. Rates: Bonett & Price (2012), which adds one pair to each side.
    """
    x = np.asarray(values, np.float64)
    n, mean = x.size, float(x.mean())
    if n < MIN_PROMPTS:
        return Estimate(mean, None, None, n)
    if not binary:
        low, high = _studentised(x, seed, resamples) or (None, None)
        return Estimate(mean, low, high, n)
    centre = float(x.sum()) / (n + 2)
    variance = (float(np.square(x).sum()) + 2) / (n + 2) - centre**2
    half = Z95 * math.sqrt(variance / (n + 2))
    return Estimate(mean, max(-1.0, centre - half), min(1.0, centre + half), n)


def _studentised(x: Array, seed: int, resamples: int) -> tuple[float, float] | None:
    n, mean, spread = x.size, float(x.mean()), float(x.std(ddof=1))
    if spread <= 1e-12 * abs(mean):
        return None  # nothing varies, so nothing is known of how much it could
    rng = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, block := max(1, 4_000_000 // n)):  # bounded memory for many prompts
        picked = x[rng.integers(0, n, (min(block, resamples - start), n))]
        errors = picked.std(axis=1, ddof=1) / math.sqrt(n)
        kept = errors > 0
        blocks.append((picked.mean(axis=1)[kept] - mean) / errors[kept])
    below, above = np.quantile(np.concatenate(blocks), [0.025, 0.975])
    error = spread / math.sqrt(n)
    return float(mean - above * error), float(mean - below * error)


def _wilson(x: Array, samples: int) -> tuple[float, float]:
    n, p = x.size, float(x.mean())
    spread = float(x.var())
    # One yes/no per prompt has variance p(1-p); means over seeds have less, which is more information.
    effective = min(n * p * (1 - p) / spread, float(samples)) if spread > 0 else float(n)
    z2 = Z95**2
    centre = (p + z2 / (2 * effective)) / (1 + z2 / effective)
    half = Z95 / (1 + z2 / effective) * math.sqrt(p * (1 - p) / effective + z2 / (4 * effective**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class SignFlip:
    """Two-sided p of a sign-flip test, and the smallest one that this design could give."""

    p: float
    smallest: float


def sign_flip(values: ArrayLike, seed: int, flips: int = 19_999) -> SignFlip:
    """Test that paired differences (n,) are as often up as down, by flipping their signs.

    Exact up to 14 pairs, else by `flips` random flips with the observed one counted in (Phipson &
    Smyth 2010). Assumes that under the null a difference is as likely as its opposite.
    """
    x = np.asarray(values, np.float64)
    n = x.size
    observed = abs(float(x.sum()))
    tolerance = 1e-12 * float(np.abs(x).sum())
    if n <= EXACT_UP_TO:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        count = int((np.abs(signs @ x) >= observed - tolerance).sum())
        return SignFlip(count / 2**n, min(1.0, 2 / 2**n))
    rng = np.random.default_rng(seed)
    count, left = 0, flips
    while left:
        block = min(left, max(1, 4_000_000 // n))
        flipped = rng.integers(0, 2, (block, n), dtype=np.int8) * 2 - 1
        count += int((np.abs(flipped @ x) >= observed - tolerance).sum())
        left -= block
    return SignFlip((count + 1) / (flips + 1), max(2 / 2**n, 1 / (flips + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the chance of any false claim in the family."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def detectable(values: ArrayLike) -> float | None:
    """The smallest mean paired difference found four times in five at two-sided 5 %, before Holm.

    From the observed spread, by the normal approximation; None where nothing varies.
    """
    x = np.asarray(values, np.float64)
    spread = float(x.std(ddof=1)) if x.size > 1 else 0.0
    return (Z95 + Z80) * spread / math.sqrt(x.size) if spread > 0 else None
