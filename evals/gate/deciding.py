"""From differences to verdicts: no worse than the margin, worse, and the tail. Pure functions on numbers.

Differences are oriented: positive is better. **Pass** needs every metric shown to be no worse than its margin
(an intersection–union test, so no correction: Berger 1982); **regression** needs one metric shown worse, by
Holm over all of them, and not within its margin; or more rare catastrophes than repeats explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evals.compare.flips import holm
from evals.gate.records import Outcome

LEVEL = 0.05
SHARE_OF_TAIL = 0.2
"""Of the level of false regressions, the tail's part; the means have the rest."""
ROUNDING = 1e-12
SCALES = 4.0
"""A catastrophe drops by at least so many scales of its metric."""
FLOOR = 0.25
"""A metric's scale is how far its repeats differ, and at least this part of the spread between prompts."""

Array = NDArray[np.float64]


class Bounds(Protocol):
    """A test of an oriented difference: one-sided p-values, and the interval that inverts them."""

    def p_above(self, bound: float = 0.0) -> float: ...
    def p_below(self, bound: float = 0.0) -> float: ...
    def interval(self, level: float = 0.95) -> tuple[float, float] | None: ...


@dataclass(frozen=True)
class Judged:
    """A metric's outcome with the p-values that decided it; `bound` is the lower end of the one-sided
    interval."""

    outcome: Outcome
    p_no_worse: float
    p_worse: float
    bound: float | None


def judge(
    tests: Sequence[Bounds | None],
    margins: Sequence[float | None],
    guards: Sequence[float] = (),
    level: float = LEVEL,
) -> list[Judged]:
    """Outcomes of one candidate's metrics. A test is None where no score differs at all. `guards` are
    p-values of "no worse" with lost scores filled in, which must hold as well."""
    plain = [1.0 if test is None else test.p_below(0.0) for test in tests]
    tested = [i for i, test in enumerate(tests) if test is not None]
    corrected = dict(zip(tested, holm([plain[i] for i in tested]), strict=True))
    found = []
    for i, (test, margin) in enumerate(zip(tests, margins, strict=True)):
        guard = guards[i] if guards else 0.0
        if test is None:  # whatever scores are there are equal; lost ones may still matter
            outcome: Outcome = "identical" if guard <= level + ROUNDING else "inconclusive"
            found.append(Judged(outcome, guard, 1.0, 0.0))
            continue
        bound = _bound(test, level)
        p = 1.0 if margin is None else max(test.p_above(-margin), guard)
        no_worse = p <= level + ROUNDING
        worse = corrected[i] <= level * (1 - SHARE_OF_TAIL) + ROUNDING
        if no_worse and test.p_above(0.0) <= level + ROUNDING:
            outcome = "better"
        elif no_worse:
            outcome = "worse within the margin" if worse else "no worse"
        else:
            outcome = "worse" if worse else "inconclusive"
        found.append(Judged(outcome, p, corrected[i], bound))
    return found


def _bound(test: Bounds, level: float) -> float | None:
    interval = test.interval(1 - 2 * level)
    return interval[0] if interval else None


@dataclass(frozen=True)
class TailFound:
    """Which prompts dropped further than `limit` scales, of how many, and the p of so many."""

    prompts: NDArray[np.intp]
    worst: NDArray[np.intp]
    count: int
    repeats: int
    p: float
    limit: float
    outcome: Literal["none", "few", "many"]


def scales(noise: Array, spreads: Array) -> Array:
    """A scale for every metric (metrics,): how far its repeats differ, or a quarter of the spread between
    prompts where that is more; NaN where both are 0, as nothing can be told there."""
    with np.errstate(invalid="ignore"):
        counts = (~np.isnan(noise)).sum(0)
        differ = np.sqrt(np.where(counts > 0, np.nansum(noise**2, axis=0) / np.maximum(counts, 1), 0.0))
    found = np.maximum(differ, FLOOR * spreads)
    return np.asarray(np.where(found > 0, found, np.nan), np.float64)


def worst_drops(differences: Array, by: Array) -> Array:
    """Each row's largest drop over the metrics, in their scales (rows,); −∞ where nothing was measured."""
    drops = np.where(np.isnan(differences / by), -np.inf, -differences / by)
    return np.asarray(drops.max(axis=1, initial=-np.inf), np.float64)


def tail(differences: Array, noise: Array, spreads: Array, level: float = LEVEL) -> TailFound:
    """Whether more prompts (prompts, metrics) drop beyond what repeats (rows, metrics) ever showed than
    chance explains. Both are oriented; `spreads` are those between prompts.

    Chance is either of two things, and p the larger of both. If the candidate were one more repeat, all drops
    would be in one random order: the chance that the k largest of n + N are all the candidate's is C(n, k) /
    C(n + N, k). If it made other videos, as good as these, as many prompts would rise so far as drop: a sign
    test."""
    by = scales(noise, spreads)
    mine, repeats = worst_drops(differences, by), worst_drops(noise, by)
    repeats = repeats[np.isfinite(repeats)]
    present = mine[np.isfinite(mine)]
    limit = max(SCALES, float(repeats.max(initial=0.0))) * (1 + 1e-9)
    beyond = np.flatnonzero(mine > limit)
    risen = int((worst_drops(-differences, by) > limit).sum())
    p = max(exceeding(len(beyond), len(present), len(repeats)), sign_test(len(beyond), risen))
    drops = np.where(np.isnan(differences / by), -np.inf, -differences / by)
    outcome: Literal["none", "few", "many"] = "none"
    if p <= level * SHARE_OF_TAIL + ROUNDING:
        outcome = "many"
    elif p <= level + ROUNDING:
        outcome = "few"
    order = beyond[np.argsort(-mine[beyond], kind="stable")]
    return TailFound(order, drops[order].argmax(1), len(beyond), len(repeats), p, limit, outcome)


def sign_test(down: int, up: int) -> float:
    """The chance of so many or more downs among all, where up and down are as likely."""
    n = down + up
    return sum(math.comb(n, k) for k in range(down, n + 1)) / 2.0**n if down else 1.0


def exceeding(k: int, n: int, repeats: int) -> float:
    """The chance that the k largest of n + `repeats` exchangeable values are all among the n."""
    if k == 0:
        return 1.0
    if repeats == 0 or k > n:
        return 1.0 if repeats == 0 else 0.0
    logs = [math.log((n - i) / (n + repeats - i)) for i in range(k)]
    return math.exp(sum(logs))


def overall(
    outcomes: Sequence[Outcome], tail_outcome: str
) -> Literal["pass", "regression", "inconclusive", "not comparable"]:
    """One verdict of all metrics and the tail."""
    if "worse" in outcomes or tail_outcome == "many":
        return "regression"
    if outcomes and all(one == "not comparable" for one in outcomes):
        return "not comparable"
    stops = ("inconclusive", "not scored", "not comparable")
    if not outcomes or any(one in stops for one in outcomes) or tail_outcome in ("few", "not tested"):
        return "inconclusive"
    return "pass"
