"""A rate over everything that a judge has rated, corrected by what people said of a part of it.

Prediction-powered inference (Angelopoulos et al., Science 2023) for a mean, with the weight of the judge's
ratings chosen to give the shortest interval (PPI++, Angelopoulos, Duchi & Zrnic 2023). A judge that is always
wrong in the same way is corrected exactly; one that knows nothing gets no weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from evals.errors import MetricError, Reason

LEAST = 10
"""Labelled prompts: with fewer, their spread is hardly known."""


@dataclass(frozen=True)
class Corrected:
    """A corrected mean with its 95 % interval. `weight` is what the judge's ratings counted, from 0 to 1;
    `n` prompts are labelled, `n_rated` others only rated by the judge."""

    mean: float
    low: float
    high: float
    weight: float
    n: int
    n_rated: int


def corrected_mean(
    people: ArrayLike, judge: ArrayLike, rated: ArrayLike, low: float | None = None,
    high: float | None = None, weight: float | None = None,
) -> Corrected:  # fmt: skip
    """The mean that people would give. `people` (n,) and `judge` (n,) are of the labelled prompts, `rated`
    (m,) the judge's of all others; the labelled ones must be a random sample of all. The interval is cut to
    `low` and `high`, the ends of the range. A `weight` that is given is taken. Raises `MetricError` for fewer
    than 10 labelled prompts, and for labels without any spread."""
    y, f, u = (np.asarray(x, np.float64) for x in (people, judge, rated))
    n, m = len(y), len(u)
    if n < LEAST:
        raise MetricError(f"{n} prompts are labelled; a corrected rate needs {LEAST}", Reason.TOO_FEW_PROMPTS)
    if weight is None:
        spread = float(np.var(np.concatenate([f, u]), ddof=1))
        along = float(np.cov(y, f, ddof=0)[0, 1])
        weight = 0.0 if not m or spread == 0 else min(1.0, max(0.0, along / ((1 + n / m) * spread)))
    elif not m:
        weight = 0.0
    off = y - weight * f
    mean = float(off.mean()) + (weight * float(u.mean()) if m else 0.0)
    parts = [float(np.var(off, ddof=1)) / n]
    freedom = [n - 1]
    if m > 1 and weight:
        parts.append(weight**2 * float(np.var(u, ddof=1)) / m)
        freedom.append(m - 1)
    error = math.sqrt(sum(parts))
    if error == 0:
        raise MetricError("people's labels are all alike, so nothing is known of their spread; label more")
    # Welch and Satterthwaite's degrees of freedom of a sum of two variances.
    degrees = sum(parts) ** 2 / sum(p**2 / d for p, d in zip(parts, freedom, strict=True)) if error else 1.0
    half = float(stats.t.ppf(0.975, degrees)) * error
    bounds = (mean - half, mean + half)
    floor, ceiling = (-math.inf if low is None else low), (math.inf if high is None else high)
    clipped = [min(ceiling, max(floor, x)) for x in (mean, *bounds)]
    return Corrected(clipped[0], clipped[1], clipped[2], weight, n, m)
