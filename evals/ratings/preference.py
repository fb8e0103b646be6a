"""From votes between pairs of models to strengths: Bradley and Terry's model, ties as half a win each."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
STEPS = 10_000
PRIOR = 1.0
"""Ties that every two models have before the first vote: without them a model that always wins would be
infinitely strong."""


def strengths(wins: Array, prior: float = PRIOR) -> Array:
    """Strengths (…, k) with geometric mean 1, from how often each beat each (…, k, k): a tie counts as half a
    win of both. The model says that i is preferred to j with probability s_i / (s_i + s_j) (Bradley & Terry
    1952); Hunter's MM steps (2004) find the most likely strengths. Models that no vote connects have, without
    a `prior`, no strengths relative to each other."""
    k = wins.shape[-1]
    beat = np.asarray(wins, np.float64) + prior / 2 * (1 - np.eye(k))
    met = beat + np.swapaxes(beat, -1, -2)
    won = beat.sum(-1)
    found = np.ones(beat.shape[:-1])
    for _ in range(STEPS):
        both = found[..., :, None] + found[..., None, :]
        new = won / np.maximum((met / both).sum(-1), 1e-300)
        new = np.maximum(new, 1e-12)
        new /= np.exp(np.log(new).mean(-1, keepdims=True))
        step = np.abs(np.log(new / found)).max()
        found = new
        if step < 1e-10:
            break
    return found


def chances(strength: Array) -> Array:
    """The probability (…, k) of being preferred to another model, the mean over all others."""
    k = strength.shape[-1]
    against = strength[..., :, None] / (strength[..., :, None] + strength[..., None, :])
    return np.asarray((against.sum(-1) - 0.5) / (k - 1), np.float64)


def smallest_preference(votes: float, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest share of decisive votes for one side that so many independent ones show to be no half,
    two-sided, with this power: 194 votes show 60 %. 1 where not even all votes for one side would."""
    if votes <= 0 or stats.binomtest(int(votes), int(votes), 0.5).pvalue > level:
        return 1.0
    z, beta = float(stats.norm.ppf(1 - level / 2)), float(stats.norm.ppf(power))
    low, high = 0.5, 1.0
    for _ in range(60):
        p = (low + high) / 2
        enough = (z * 0.5 + beta * math.sqrt(p * (1 - p))) / (p - 0.5) <= math.sqrt(votes)
        low, high = (low, p) if enough else (p, high)
    return high
