"""What a test of a law says: named sub-scores, each with where it was seen and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evals.errors import Reason


@dataclass(frozen=True)
class Check:
    """One sub-score in [0, 1]: 1 where the law holds within what can be measured. `first` and `last` are the
    frames, of those that were looked at, in which it was seen; `said` is a sentence without its stop."""

    name: str
    score: float
    said: str
    first: int
    last: int


@dataclass(frozen=True)
class Untestable:
    """Why nothing can be said of a clip."""

    message: str
    reason: Reason = Reason.NO_TRACK


Tested = tuple[Check, ...] | Untestable


def worst(checks: Sequence[Check]) -> Check:
    """The check that a clip's score is: the lowest, the first of equal ones."""
    return min(checks, key=lambda c: c.score)


def lowest(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Of the checks of each name the worst, in the order in which names first occur."""
    names = dict.fromkeys(c.name for c in checks)
    return tuple(worst([c for c in checks if c.name == name]) for name in names)


def of_clip(checks: Sequence[Check], index: NDArray[np.int64]) -> tuple[Check, ...]:
    """Checks of tracks with the numbers of frames of the clip, for those of frames that were looked at."""
    last = len(index) - 1
    return tuple(
        replace(c, first=int(index[min(c.first, last)]), last=int(index[min(c.last, last)])) for c in checks
    )


def grade(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad` on, straight in between; `bad` may be the smaller."""
    if not np.isfinite(value):
        return 1.0
    return float(np.clip((bad - value) / (bad - good), 0.0, 1.0))
