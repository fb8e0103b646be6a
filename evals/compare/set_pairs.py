"""Which of two runs lies nearer to the reference: the differences of distribution metrics, tested."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.stats

from evals.compare.distributions import Measured, Measuring
from evals.compare.pairs import Estimate
from evals.compare.results import Pair
from evals.compare.rules import MIN_COVERAGE, Rules
from evals.compare.run_scores import RunScores
from evals.errors import MetricError
from evals.metrics.base import SetDifference
from evals.records import MetricInfo


@dataclass(frozen=True)
class Jackknifed:
    """A difference with the standard error of its jackknife, tested by Student's t."""

    found: SetDifference

    smallest = 0.0

    def p_above(self, bound: float = 0.0) -> float:
        return float(scipy.stats.t.sf(self._t(bound), self.found.freedom))

    def p_below(self, bound: float = 0.0) -> float:
        return float(scipy.stats.t.cdf(self._t(bound), self.found.freedom))

    @property
    def p(self) -> float:
        return min(1.0, 2 * min(self.p_above(), self.p_below()))

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        half = float(scipy.stats.t.ppf((1 + level) / 2, self.found.freedom)) * self.found.standard_error
        return self.found.value - half, self.found.value + half

    def within(self, margin: float) -> float:
        return max(self.p_above(-margin), self.p_below(margin))

    def _t(self, bound: float) -> float:
        return (self.found.value - bound) / self.found.standard_error


def measure_sets(
    a: RunScores, b: RunScores, infos: Mapping[str, MetricInfo], measuring: Measuring, rules: Rules
) -> Iterator[Estimate]:
    """Every distribution metric that was measured for both runs and whose difference has a valid error."""
    for name, info in infos.items():
        first, second = (measuring.sets.get((run.label, name)) for run in (a, b))
        if first is None or second is None:
            continue
        pair = Pair(metric=name, a=a.label, b=b.label, margin=rules.margins.get(name))
        try:
            found = _difference(first, second)
        except MetricError as error:
            changes = {"verdict": "inconclusive", "reason": error.reason, "message": str(error)}
            yield Estimate(pair.model_copy(update=changes), info)
            continue
        if found is not None:
            yield _estimate(pair, info, found, first, second)


def _difference(first: Measured, second: Measured) -> SetDifference | None:
    """Raises `MetricError` where it cannot be computed."""
    theirs = first.theirs
    if theirs.hashes != second.theirs.hashes or len(theirs.rows) != len(second.theirs.rows):
        raise MetricError("the runs were matched with different parts of the reference")
    sides = (first.ours, second.ours, theirs)
    ours, others, reference = (np.stack(side.rows) for side in sides)
    return first.metric.difference(ours, others, reference, tuple(side.prompts for side in sides))


def _estimate(
    pair: Pair, info: MetricInfo, found: SetDifference, first: Measured, second: Measured
) -> Estimate:
    prompts = len({*first.ours.prompts, *second.ours.prompts})
    coverage = min(one.ours.videos / one.videos if one.videos else 1.0 for one in (first, second))
    changes: dict[str, object] = {
        "difference": found.value, "n_pairs": min(len(first.ours.rows), len(second.ours.rows)),
        "n_prompts": prompts, "coverage": coverage,
    }  # fmt: skip
    if not found.standard_error > 0:
        return Estimate(pair.model_copy(update=changes), info)
    test = Jackknifed(found)
    low, high = test.interval() or (None, None)
    changes |= {"ci_low": low, "ci_high": high, "p": test.p}
    # A set is one number: what missing videos would have done to it cannot be bounded.
    whatever = 0.0 if coverage >= MIN_COVERAGE else 1.0
    spread = found.standard_error * math.sqrt(prompts)
    return Estimate(pair.model_copy(update=changes), info, test, spread, 0.0, whatever)
