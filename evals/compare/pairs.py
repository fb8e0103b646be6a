"""What is measured of two runs on every metric, before anything is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evals.compare import statistics
from evals.compare.aligned import Aligned, align
from evals.compare.flips import FLIPS, SignFlip, sign_flips
from evals.compare.judges import doubt_of
from evals.compare.results import Pair
from evals.compare.rules import MARGIN, Rules
from evals.compare.run_scores import RunScores, why_not_comparable
from evals.errors import Reason
from evals.records import MetricInfo

Array = NDArray[np.float64]


class Test(Protocol):
    """A test of a difference, with the interval that is its inversion."""

    @property
    def p(self) -> float: ...
    @property
    def smallest(self) -> float: ...
    def p_above(self, bound: float = 0.0) -> float: ...
    def p_below(self, bound: float = 0.0) -> float: ...
    def interval(self, level: float = 0.95) -> tuple[float, float] | None: ...
    def within(self, margin: float) -> float: ...


@dataclass(frozen=True)
class Estimate:
    """A pair with what was measured of it. `test` is None where there is nothing to test: no scores, or all
    of them equal. `spread` is that of the differences between prompts.

    `guards` are p-values that a claim for a side with missing samples must also pass: by `accidental`, with
    each lost score set to the mean of the other side's equally large worst share (after Lee 2009), and by
    `whatever`, with every lost score at the worst that was seen, of the other side at the best."""

    pair: Pair
    info: MetricInfo
    test: Test | None = None
    spread: float = 0.0
    accidental: float = 0.0
    whatever: float = 0.0


def measure(
    a: RunScores, b: RunScores, infos: Mapping[str, MetricInfo], rules: Rules, flips: int = FLIPS
) -> list[Estimate]:
    """Every metric that is scored by samples, in order."""
    found: dict[str, Estimate] = {}
    both = []
    for name, info in infos.items():
        if info.kind == "distribution" or not (name in a.metrics or name in b.metrics):
            continue
        pair = Pair(metric=name, a=a.label, b=b.label)
        if problem := _not_comparable(name, a, b):
            found[name] = Estimate(pair.model_copy(update=problem), info)
        else:
            both.append(name)
    aligned = align(a, b, both)
    found |= _estimates(aligned, [Pair(metric=n, a=a.label, b=b.label) for n in both],
                        [infos[n] for n in both], rules, flips)  # fmt: skip
    return [found[name] for name in infos if name in found]


def _not_comparable(name: str, a: RunScores, b: RunScores) -> dict[str, object] | None:
    """Why two runs' numbers of a metric don't compare; None where they do."""
    for run in (a, b):
        if name not in run.metrics:
            message = f"{run.label} was not scored with it"
            return {"verdict": "not scored", "reason": Reason.NOT_SCORED, "message": message}
    if a.digests[name] != b.digests[name]:
        reason, message = why_not_comparable(a.metrics[name], b.metrics[name])
        return {"verdict": "not comparable", "reason": reason, "message": message}
    for run in (a, b):
        if (doubt := doubt_of(run.metrics[name], run.calibrations)) is not None:
            message = f"{run.label}: {doubt[1]}"
            return {"verdict": "not comparable", "reason": doubt[0], "message": message}
    return None


def _estimates(
    aligned: Aligned, pairs: Sequence[Pair], infos: Sequence[MetricInfo], rules: Rules, flips: int
) -> dict[str, Estimate]:
    differences = aligned.exact_differences()
    varies = np.array([bool(np.nansum(np.abs(d)) > 0) for d in differences.T], bool)
    tests = sign_flips(np.where(varies, differences, np.nan), flips)
    guards = Guards(aligned, infos, flips)
    margin_side = "b" if rules.baseline is not None else "a"
    found = {}
    for j, (pair, info) in enumerate(zip(pairs, infos, strict=True)):
        scored, applies = aligned.scored[:, j], aligned.applies[:, j]
        d = differences[:, j][~np.isnan(differences[:, j])]
        base = _by_prompt(aligned, margin_side, j)
        changes: dict[str, object] = {
            "n_pairs": int(scored.sum()), "n_prompts": len(d),
            "coverage": float(scored.sum() / applies.sum()) if applies.any() else None,
            "lost_a": int(aligned.lost("a")[:, j].sum()), "lost_b": int(aligned.lost("b")[:, j].sum()),
        }  # fmt: skip
        if not len(d):
            changes |= _why_nothing(aligned)
            found[pair.metric] = Estimate(pair.model_copy(update=changes), info)
            continue
        mean_b = float(np.nanmean(_by_prompt(aligned, "b", j)))
        test, difference = tests[j], float(d.mean())
        interval = test.interval() if test else None
        low, high = _within_range(interval, info)
        changes |= {
            "difference": difference, "relative": difference / abs(mean_b) if mean_b else None,
            "ci_low": low, "ci_high": high, "p": test.p if test else None,
            "margin": rules.margins.get(pair.metric, _default_margin(base)),
        }  # fmt: skip
        spread = float(d.std(ddof=1)) if len(d) > 1 else 0.0
        found[pair.metric] = Estimate(
            pair.model_copy(update=changes), info, test, spread, *guards.of(j, difference)
        )
    return found


def _by_prompt(aligned: Aligned, side: str, j: int) -> Array:
    """A side's means by prompt, over the samples that both sides have."""
    values = (aligned.a if side == "a" else aligned.b)[:, j]
    return aligned.by_prompt(np.where(aligned.scored[:, j], values, np.nan)[:, None])[:, 0]


def _default_margin(values: Array) -> float | None:
    values = values[~np.isnan(values)]
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return MARGIN * spread if spread > 0 else None


def _within_range(
    interval: tuple[float, float] | None, info: MetricInfo
) -> tuple[float | None, float | None]:
    """An interval of a difference, cut at what the metric's range allows."""
    if interval is None:
        return None, None
    if info.low is None or info.high is None:
        return interval
    width = info.high - info.low
    return max(-width, interval[0]), min(width, interval[1])


def _why_nothing(aligned: Aligned) -> dict[str, object]:
    if not aligned.shared.any():
        message = "they share no prompt (in the same words) and seed"
        return {"verdict": "not comparable", "reason": Reason.NO_SHARED_PROMPT, "message": message}
    message = "no prompt and seed has a score on both sides"
    return {"verdict": "not scored", "reason": Reason.NO_SHARED_SCORE, "message": message}


@dataclass
class Guards:
    """p-values of a difference with lost scores filled in; all metrics and fillings are tested at once."""

    aligned: Aligned
    infos: Sequence[MetricInfo]
    flips: int
    _tests: dict[tuple[str, int, bool], SignFlip | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns, keys = [], []
        for j, info in enumerate(self.infos):
            lost_a, lost_b = (self.aligned.lost(side)[:, j] for side in "ab")
            if info.direction == "none" or not (lost_a.any() or lost_b.any()):
                continue
            if not self.aligned.scored[:, j].any():
                continue
            for a_wins in (True, False):
                if (lost_a.sum() > lost_b.sum()) if a_wins else (lost_b.sum() > lost_a.sum()):
                    columns.append(self._filled(j, a_wins, accidental=True))
                    keys.append(("accidental", j, a_wins))
                columns.append(self._filled(j, a_wins, accidental=False))
                keys.append(("whatever", j, a_wins))
        if columns:
            by_prompt = self.aligned.by_prompt(np.stack(columns, 1))
            self._tests = dict(zip(keys, sign_flips(by_prompt, self.flips), strict=True))

    def of(self, j: int, difference: float) -> tuple[float, float]:
        """The two guards of a claim for the side that the difference speaks for; 0 where nothing is lost."""
        a_wins = (difference > 0) == (self.infos[j].direction == "higher")
        found = []
        for kind in ("accidental", "whatever"):
            test = self.test(kind, j, a_wins)
            p = 0.0 if test is None else test.p_above() if difference > 0 else test.p_below()
            found.append(min(1.0, 2 * p))
        return found[0], found[1]

    def test(self, kind: str, j: int, a_wins: bool) -> SignFlip | None:
        """The test of a − b with lost scores filled in against one side; None where that side lost none."""
        return self._tests.get((kind, j, a_wins))

    def _filled(self, j: int, a_wins: bool, accidental: bool) -> Array:
        """Differences a − b (samples,) with lost scores filled in: the winner's, or those of both sides."""
        a, b = self.aligned.a[:, j], self.aligned.b[:, j]
        lost_a, lost_b = (self.aligned.lost(side)[:, j] for side in "ab")
        winner, other = (a, b) if a_wins else (b, a)
        lost_winner, lost_other = (lost_a, lost_b) if a_wins else (lost_b, lost_a)
        higher = self.infos[j].direction == "higher"
        seen = np.concatenate([a[~np.isnan(a)], b[~np.isnan(b)]])
        worst, best = (seen.min(), seen.max()) if higher else (seen.max(), seen.min())
        if accidental:
            theirs = np.sort(other[~np.isnan(other)])
            share = lost_winner.sum() / self.aligned.applies[:, j].sum()
            count = max(1, round(float(share) * len(theirs)))
            worst = (theirs[:count] if higher else theirs[-count:]).mean()
        winner = np.where(lost_winner, worst, winner)
        other = other if accidental else np.where(lost_other, best, other)
        applies = self.aligned.applies[:, j]
        return np.where(applies, winner - other if a_wins else other - winner, np.nan)


def detail(estimate: Estimate, level: float) -> dict[str, object]:
    """What this design can find at a level, and how many more prompts would find the margin."""
    pair, spread = estimate.pair, estimate.spread
    more = None
    if pair.margin and spread > 0:
        more = max(0, statistics.prompts_needed(pair.margin, spread, level) - pair.n_prompts)
    return {"detectable": statistics.detectable(spread, max(1, pair.n_prompts), level), "more_prompts": more}
