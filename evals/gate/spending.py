"""Levels for looking more than once, so that all looks together keep to one level."""

from __future__ import annotations

import math

from evals.errors import UsageError
from evals.gate.deciding import LEVEL

LOOKS = (1, 2, 4)
"""Seeds of each prompt at the first, second and third look, where a look is inconclusive."""


def of_checkpoint(number: int, level: float = LEVEL) -> float:
    """The level of the t-th check against one baseline: level · 6 / (π² t²), which sums to the level over
    however many there are. Raises `UsageError`."""
    if number < 1:
        raise UsageError(f"checkpoint {number}: checks are counted from 1")
    return level * 6 / (math.pi * number) ** 2


def of_look(level: float = LEVEL) -> float:
    """The level of each of the three looks at more and more seeds (Bonferroni)."""
    return level / len(LOOKS)


def seeds_at(look: int, seeds: list[int]) -> list[int]:
    """The first seeds that a look uses. Raises `UsageError` where there are too few."""
    if not 1 <= look <= len(LOOKS):
        raise UsageError(
            f"--look {look}: there are {len(LOOKS)} looks, at {', '.join(map(str, LOOKS))} seeds"
        )
    count = LOOKS[look - 1]
    if len(seeds) < count:
        raise UsageError(f"--look {look} needs {count} seeds a prompt; the baseline has {len(seeds)}")
    return sorted(seeds)[:count]
