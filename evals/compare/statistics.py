"""Statistics of means: pure functions on arrays.

The unit of inference is the prompt: seeds of one prompt are averaged first. Every random step draws from a
generator of its own with a fixed seed, so that the same data give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_PROMPTS = 20
RESAMPLES = 4000
Z95 = 1.959963984540054
Z80 = 0.8416212335729143
_SEED = 0xB007

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over prompts. `low` and `high` bound its 95 % interval; None where none is valid."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Scores:
    """One value per prompt (n,), with what bounds them: `samples` counts all seeds, `low` and `high` are the
    ends of the metric's range, `binary` marks rates."""

    values: Array
    samples: int = 0
    binary: bool = False
    low: float | None = None
    high: float | None = None


def mean_interval(
    values: ArrayLike,
    samples: int | None = None,
    binary: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> Estimate:
    """Mean of one value per prompt with its 95 % interval. `values` (n,) finite, n at least 1."""
    x = np.asarray(values, np.float64)
    return mean_intervals([Scores(x, samples or x.size, binary, low, high)])[0]


def mean_intervals(scores: Sequence[Scores], resamples: int = RESAMPLES) -> list[Estimate]:
    """The means of many metrics with their 95 % intervals; none under 20 prompts or where nothing varies.

    Continuous scores: studentised bootstrap (Efron & Tibshirani 1993, 12.5), which covers better than
    percentiles for skewed scores. A resample without spread counts as infinitely far away; where that leaves
    a bound open, it is the end of the metric's range, and where there is none, there is no interval. Rates:
    Wilson's interval, its sample size corrected for prompts that hold several seeds.
    """
    bounds: dict[int, tuple[float, float] | None] = {}
    alike: dict[int, list[int]] = {}
    for i, one in enumerate(scores):
        if len(one.values) < MIN_PROMPTS:
            continue
        if one.binary:
            bounds[i] = _wilson(one.values, one.samples or len(one.values))
        else:
            alike.setdefault(len(one.values), []).append(i)
    for n, places in alike.items():
        step = max(1, 4_000_000 // n)
        for start in range(0, len(places), step):
            part = places[start : start + step]
            found = _studentised(np.stack([scores[i].values for i in part], 1), resamples)
            bounds.update(zip(part, found, strict=True))
    return [_within(one, bounds.get(i)) for i, one in enumerate(scores)]


def _within(one: Scores, bounds: tuple[float, float] | None) -> Estimate:
    """An estimate whose interval is cut at the ends of the metric's range."""
    mean, n = float(one.values.mean()), len(one.values)
    if bounds is None:
        return Estimate(mean, None, None, n)
    low = bounds[0] if one.low is None else max(bounds[0], one.low)
    high = bounds[1] if one.high is None else min(bounds[1], one.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(mean, None, None, n)
    return Estimate(mean, low, high, n)


def _studentised(x: Array, resamples: int) -> list[tuple[float, float] | None]:
    """Bounds of the mean of every column (n, c), from the same resamples of its rows."""
    n = len(x)
    means, spreads = x.mean(0), x.std(0, ddof=1)
    centred = x - means
    rng = np.random.default_rng([_SEED, n])
    errors = []
    for start in range(0, resamples, rows := max(1, 2_000_000 // n)):
        block = min(rows, resamples - start)
        picked = rng.integers(0, n, (block, n)) + np.arange(block)[:, None] * n
        times = np.bincount(picked.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)
        mean = times @ centred / n
        variance = np.maximum(times @ np.square(centred) / n - np.square(mean), 0.0) * n / (n - 1)
        # Of a resample without spread, rounding leaves a trace.
        flat = variance <= 1e-12 * np.maximum(np.square(spreads), np.square(mean))
        with np.errstate(divide="ignore", invalid="ignore"):
            studentised = np.where(flat, np.sign(mean) * np.inf, mean / np.sqrt(variance / n))
        errors.append(np.nan_to_num(studentised, nan=0.0, posinf=np.inf, neginf=-np.inf))
    below, above = np.quantile(np.concatenate(errors), [0.025, 0.975], axis=0, method="inverted_cdf")
    found: list[tuple[float, float] | None] = []
    for j in range(x.shape[1]):
        if spreads[j] <= 1e-12 * abs(means[j]):
            found.append(None)  # nothing varies, so nothing is known of how much it could
        else:
            error = spreads[j] / math.sqrt(n)
            found.append((float(means[j] - above[j] * error), float(means[j] - below[j] * error)))
    return found


def _wilson(x: Array, samples: int) -> tuple[float, float]:
    n, p = x.size, float(x.mean())
    spread = float(x.var())
    # One yes/no per prompt has variance p(1-p); means over seeds have less, which is more information.
    effective = min(n * p * (1 - p) / spread, float(samples)) if spread > 0 else float(n)
    z2 = Z95**2
    centre = (p + z2 / (2 * effective)) / (1 + z2 / effective)
    half = Z95 / (1 + z2 / effective) * math.sqrt(p * (1 - p) / effective + z2 / (4 * effective**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def detectable(spread: float, n: int, level: float = 0.95) -> float | None:
    """The smallest mean paired difference that n prompts show four times in five, at a two-sided level.

    `spread` is the standard deviation of the differences; by the normal approximation. None without spread.
    """
    return (_z(level) + Z80) * spread / math.sqrt(n) if spread > 0 else None


def prompts_needed(difference: float, spread: float, level: float = 0.95) -> int:
    """How many prompts show a mean paired difference four times in five, at a two-sided level."""
    return math.ceil(((_z(level) + Z80) * spread / difference) ** 2)


def _z(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + level) / 2)
