"""How much worse is still no regression, and whether a design can show it.

A margin is a fraction of the standard deviation between prompts, taken from the baseline and frozen as a
number: taken from each new pair, it would move with the candidate and let more regressions pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evals.errors import UsageError, nearest
from evals.gate.deciding import LEVEL
from evals.records import MetricInfo

POWER = 0.8
RATE_MARGIN = 0.05
"""Of a share of samples: five points; of a yes/no metric at least that, since so few can seldom be shown."""
TIERS = {"standard": (100, 2, 0.35), "fast": (50, 2, 0.5)}
"""Prompts, seeds and the margin in standard deviations between prompts."""
SMALLEST = {
    (50, 1): 0.68, (50, 2): 0.43, (50, 4): 0.30, (100, 1): 0.45, (100, 2): 0.30, (100, 4): 0.20,
    (200, 1): 0.29, (200, 2): 0.21, (200, 4): 0.14,
}  # fmt: skip
"""The smallest margin with which an unchanged model passes four times in five, in standard deviations between
prompts, by prompts and seeds: measured on ten correlated metrics of mixed kinds, candidate and baseline with
noise of their own (benchmarks/gate.py measures it again)."""


def smallest_usual(prompts: int, seeds: int) -> float:
    """The table above for any design, interpolated (and continued) along straight lines of logarithms."""
    at = [math.log(n) for n in (50, 100, 200)]
    columns = []
    for s in (1, 2, 4):
        columns.append(
            _line(math.log(max(2, prompts)), at, [math.log(SMALLEST[n, s]) for n in (50, 100, 200)])
        )
    found = _line(math.log(seeds), [math.log(s) for s in (1, 2, 4)], columns)
    return math.exp(found)


def _line(x: float, xs: list[float], ys: list[float]) -> float:
    """Piecewise linear, its end pieces continued."""
    i = 0 if x <= xs[1] else 1
    return ys[i] + (ys[i + 1] - ys[i]) * (x - xs[i]) / (xs[i + 1] - xs[i])


def smallest_for(noise: float, prompts: int, metrics: int) -> float:
    """The smallest margin with which an unchanged model passes all of so many metrics four times in five,
    where differences between repeats have a standard deviation `noise` between prompts. The metrics count as
    independent, which asks for a little more than is needed."""
    z = NormalDist().inv_cdf(1 - LEVEL) + NormalDist().inv_cdf(POWER ** (1 / max(1, metrics)))
    return z * noise / math.sqrt(prompts)


def tier_of(prompts: int, seeds: int) -> str:
    """The best tier that a design reaches; empty where it reaches none."""
    for name, (n, s, _) in TIERS.items():
        if prompts >= n and seeds >= s:
            return name
    return ""


def frozen(
    infos: Mapping[str, MetricInfo],
    spreads: Mapping[str, float],
    fraction: float,
    given: Mapping[str, str],
) -> dict[str, float]:
    """A margin in the metric's own unit for every metric that can have one. `given` holds numbers, or
    fractions as `0.5sd`. Raises `UsageError`."""
    for name in given:
        if name not in infos:
            raise UsageError(
                f"--margin {name}: the baseline has no such primary metric{nearest(name, infos)}"
            )
    found = {}
    for name, info in infos.items():
        text = given.get(name)
        if text is not None:
            value, in_sd = parsed(text, f"--margin {name}")
            found[name] = value * spreads.get(name, 0.0) if in_sd else value
            if not found[name] > 0:
                raise UsageError(f"--margin {name}={text}: its prompts don't differ; give it as a number")
        elif info.kind == "sample":
            found[name] = RATE_MARGIN
        elif info.binary:
            found[name] = max(RATE_MARGIN, fraction * spreads.get(name, 0.0))
        elif info.kind != "distribution" and spreads.get(name, 0.0) > 0:
            found[name] = fraction * spreads[name]
    return found


def parsed(text: str, option: str) -> tuple[float, bool]:
    """A margin as a number, and whether it is in standard deviations. Raises `UsageError`."""
    stripped = text.strip().lower()
    try:
        value = float(stripped.removesuffix("sd").strip())
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{option}: {text!r} is no margin; write a number above 0, or 0.35sd")
    return value, stripped.endswith("sd")


def spread_between(by_prompt: NDArray[np.float64]) -> float:
    """The standard deviation of prompts' means."""
    values = by_prompt[~np.isnan(by_prompt)]
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
