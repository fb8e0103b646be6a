"""The paired difference of two arrays of scores: the comparison's own test, for scores from anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from evals.compare.flips import sign_flip
from evals.compare.statistics import detectable
from evals.errors import UsageError


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference a − b over prompts, its 95 % interval (None under six prompts), the two-sided p of
    the sign-flip test that the interval inverts, the number of prompts `n`, and the smallest difference that
    so many prompts find four times in five."""

    difference: float
    low: float | None
    high: float | None
    p: float
    n: int
    detectable: float | None


def paired_difference(
    a: ArrayLike, b: ArrayLike, prompts: ArrayLike | None = None, binary: bool = False
) -> PairedDifference:
    """Compare two models' scores of the same samples, (n,) each, in the same order.

    `prompts` names the prompt of each sample: seeds of one prompt are averaged first, since they are not
    independent. Without, every sample is its own prompt. A sample with NaN on either side is left out.
    `binary` says that scores are 0 or 1. This is the comparison's own test: sign flips, exact up to 14
    prompts, and their inversion (`evals.compare.flips`).

    Raises `UsageError` for arrays of other shapes, of infinite or, with `binary`, of other values, and where
    no sample has both scores.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise UsageError(f"paired scores are two arrays of one length; these are {x.shape} and {y.shape}")
    if np.isinf(x).any() or np.isinf(y).any():
        raise UsageError("paired scores are finite; NaN stands for a missing one")
    if binary and not all(set(np.unique(side[~np.isnan(side)])) <= {0.0, 1.0} for side in (x, y)):
        raise UsageError("binary scores are 0 or 1")
    names = np.arange(len(x)) if prompts is None else np.asarray(prompts)
    if names.shape != x.shape:
        raise UsageError(f"{len(x)} scores have {names.size} prompts; there is one for each")
    by_prompt = pd.Series(x - y).groupby(names, sort=True).mean().dropna()
    if by_prompt.empty:
        raise UsageError("no sample has a score on both sides")
    test = sign_flip(by_prompt.to_numpy(np.float64))
    low, high = test.interval() or (None, None)
    if binary and low is not None and high is not None:
        low, high = max(-1.0, low), min(1.0, high)
    spread = float(by_prompt.std(ddof=1)) if test.n > 1 else 0.0
    return PairedDifference(test.mean, low, high, test.p, test.n, detectable(spread, test.n))
