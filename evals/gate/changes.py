"""Where a series of scores changes its level: PELT of the package `ruptures`, on means in units of their
noise.

The penalty is what the best split of so many unchanged values gains in 5 % of the cases, shared by all
series, so that unchanged models rarely show a change."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SHORTEST = 1
"""Runs on either side of a change."""
LEVEL = 0.05
DRAWS = 20_000
SLACK = 1.25
"""On the penalty: several splits at once may gain what none does alone (measured: benchmarks/gate.py)."""

Array = NDArray[np.float64]


def change_points(series: Array, noise: float, alike: int = 1, level: float = LEVEL) -> list[int]:
    """Places in a series (n,) at which a new level begins. `noise` is the standard deviation of one value,
    `alike` how many such series are looked at together."""
    if len(series) < 3 or np.ptp(series) == 0:
        return []
    if not noise > 0:  # nothing varies from run to run, so every other value is a change
        noise = float(np.ptp(series)) / 100
    import ruptures

    scaled = (np.asarray(series, np.float64) / noise)[:, None]
    found = ruptures.Pelt(model="l2", min_size=SHORTEST, jump=1).fit(scaled)
    return [int(i) for i in found.predict(pen=penalty(len(series), level / max(1, alike)))[:-1]]


@lru_cache(maxsize=64)
def penalty(n: int, level: float) -> float:
    """What the best split of n unchanged values with standard deviation 1 gains with that chance, by
    simulation with a fixed seed."""
    rng = np.random.default_rng([0xC4A, n])
    gains = []
    sizes = np.arange(1, n)
    allowed = (sizes >= SHORTEST) & (n - sizes >= SHORTEST)
    for _ in range(10):
        x = rng.normal(size=(DRAWS // 10, n))
        sums = np.cumsum(x, axis=1)
        left, total = sums[:, :-1], sums[:, -1:]
        gain = left**2 / sizes + (total - left) ** 2 / (n - sizes) - total**2 / n
        gains.append(gain[:, allowed].max(axis=1))
    return float(np.quantile(np.concatenate(gains), 1 - level)) * SLACK


def noise_of_means(values: Array) -> float:
    """The standard deviation of a run's mean, from how prompts' scores (prompts, runs) move between
    neighbouring runs; a true change moves it in one place only, and the median leaves that out."""
    if values.shape[0] < 2 or values.shape[1] < 2:
        return 0.0
    variances = np.diff(values, axis=1).var(axis=0, ddof=1)
    return float(np.sqrt(np.median(variances) / 2 / values.shape[0]))
