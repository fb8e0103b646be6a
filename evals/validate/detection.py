"""Whether a metric detects a degradation: from one value per clip and strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evals.compare.paired import paired_difference

AGREE, CORRELATED = 0.8, 0.8
Way = Literal["falls", "rises"]


@dataclass(frozen=True)
class Detection:
    """What a metric did along one degradation's strengths.

    `claimed` and until which strength (`until`, its number from 1); `way`, how the mean moved from 0 to
    there; `monotone`, at every step; `agree`, the share of clips with a rank correlation of at least 0.8 that
    way; `detected_at`, the number of the first strength whose paired 95 % interval excludes 0, None where
    none does; `holds`, whether the claim holds."""

    claimed: Way | None
    until: int
    way: Way
    monotone: bool
    agree: float
    detected_at: int | None
    means: tuple[float, ...]
    holds: bool | None


def detect(
    values: NDArray[np.float64], claimed: Way | None, until: int, binary: bool, seed: int
) -> Detection:
    """`values` (clips, 1 + strengths), the first column untouched; NaN where a clip has no score is left out
    with its clip."""
    whole = values[np.isfinite(values).all(1)]
    means = whole.mean(0)
    way: Way = claimed or ("falls" if means[until] < means[0] else "rises")
    sign = -1.0 if way == "falls" else 1.0
    steps = sign * np.diff(means[: until + 1])
    rho = [_rank(row[: until + 1]) * sign for row in whole]
    agree = float(np.mean([r >= CORRELATED for r in rho]))
    detected_at = None
    for k in range(1, values.shape[1]):
        if _apart(whole[:, k] - whole[:, 0], seed, binary):
            detected_at = k
            break
    # A mean that stands still at first has not moved the wrong way.
    monotone = bool((steps >= -1e-12).all() and steps.sum() > 0)
    holds = None
    if claimed:
        holds = monotone and detected_at is not None and (binary or agree >= AGREE)
    return Detection(claimed, until, way, monotone, agree, detected_at, tuple(float(m) for m in means), holds)


def _apart(differences: NDArray[np.float64], seed: int, binary: bool) -> bool:
    """Whether the 95 % interval of the mean excludes 0; where hardly anything varies and there is none,
    whether every clip moves the same way."""
    found = paired_difference(differences, np.zeros_like(differences))
    if found.low is None or found.high is None:
        return bool((differences > 0).all() or (differences < 0).all())
    return found.low > 0 or found.high < 0


def _rank(row: NDArray[np.float64]) -> float:
    """Spearman's correlation of a clip's values with the strengths' order; 0 where nothing moves."""
    if np.ptp(row) == 0:
        return 0.0
    return float(stats.spearmanr(np.arange(len(row)), row).statistic)
