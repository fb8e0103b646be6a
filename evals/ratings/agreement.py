"""How far two raters agree beyond chance, and how often a number agrees with votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEAST = 10  # prompts for an interval
_SEED = 0x4A9A


@dataclass(frozen=True)
class Agreement:
    """A value over `n` pairs, with the 95 % interval over prompts where there are 10."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None


def kappa(
    a: Sequence[float], b: Sequence[float], prompts: Sequence[str], categories: Sequence[float],
    quadratic: bool = False,
) -> Agreement | None:  # fmt: skip
    """Cohen's kappa (1960) of two raters' answers, with quadratic weights (Cohen 1968) for ratings; None
    where one of them gives the same answer throughout, so that there is nothing to agree on. Its interval is
    a percentile bootstrap over prompts."""
    k = len(categories)
    place = {value: i for i, value in enumerate(categories)}
    cells = np.array([place[x] * k + place[y] for x, y in zip(a, b, strict=True)], np.intp)
    names = sorted(set(prompts))
    rows = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), k * k))
    np.add.at(counts, (np.array([rows[p] for p in prompts], np.intp), cells), 1.0)
    weights = _weights(categories, quadratic)
    value = _kappa(counts.sum(0)[None], weights)[0]
    if np.isnan(value) or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    found = Agreement(float(value), len(cells))
    if len(names) < LEAST:
        return found
    drawn = _draws(len(names)) @ counts
    made = _kappa(drawn, weights)
    made = made[~np.isnan(made)]
    low, high = np.quantile(made, [0.025, 0.975], method="inverted_cdf")
    return Agreement(float(value), len(cells), float(low), float(high))


def _weights(categories: Sequence[float], quadratic: bool) -> NDArray[np.float64]:
    """The disagreement (k, k) of every pair of answers."""
    x = np.asarray(categories, np.float64)
    apart = np.abs(x[:, None] - x[None])
    return np.asarray((apart / apart.max()) ** 2 if quadratic else (apart > 0).astype(np.float64))


def _kappa(counts: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of tables (t, k²) of counts."""
    k = len(weights)
    table = counts.reshape(-1, k, k) / counts.sum(1)[:, None, None]
    observed = (table * weights).sum((1, 2))
    expected = (table.sum(2)[:, :, None] * table.sum(1)[:, None, :] * weights).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan), np.float64)


def share(values: Sequence[float], prompts: Sequence[str]) -> Agreement:
    """The mean of values from 0 to 1, as whether a metric points the way that a vote does, with a percentile
    bootstrap over prompts."""
    names = sorted(set(prompts))
    rows = {name: i for i, name in enumerate(names)}
    sums = np.zeros((len(names), 2))
    np.add.at(sums, [rows[p] for p in prompts], np.array([[v, 1.0] for v in values]))
    mean = float(sums[:, 0].sum() / sums[:, 1].sum())
    if len(names) < LEAST:
        return Agreement(mean, len(values))
    drawn = _draws(len(names)) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975], method="inverted_cdf")
    return Agreement(mean, len(values), float(low), float(high))


def _draws(n: int) -> NDArray[np.float64]:
    """How often each of n prompts is drawn (RESAMPLES, n)."""
    rng = np.random.default_rng([_SEED, n])
    return rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
