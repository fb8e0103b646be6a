"""Is the candidate no worse than the baseline? Every primary metric on its own, and the tail of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evals.compare import statistics
from evals.compare.aligned import Aligned, align, differently_worded
from evals.compare.costs import with_rates
from evals.compare.flips import EXACT_UP_TO, FLIPS, sign_flips
from evals.compare.pairs import Estimate, Guards, Test
from evals.compare.rules import MIN_COVERAGE
from evals.compare.run_scores import RunScores, why_not_comparable
from evals.compare.set_pairs import Jackknifed
from evals.errors import Reason
from evals.gate import baseline as files
from evals.gate.deciding import LEVEL, Bounds, Judged, TailFound, judge, tail
from evals.gate.noise import Noise
from evals.gate.records import Baseline, QualityRow, Tail
from evals.metrics.base import SetDifference
from evals.records import MetricInfo

Array = NDArray[np.float64]
MOST_NAMED = 20  # prompts that a result names
MOST_FLIPS = 200_000


def compared(
    baseline: Baseline, candidate: RunScores, seeds: Sequence[int] | None
) -> tuple[RunScores, RunScores]:
    """Both sides as scores, on the baseline's prompts and seeds alone: what the candidate lacks of them is
    missing, what it has beside them is left out. `seeds` narrows them further."""
    base = with_rates(files.as_scores(baseline))
    if seeds is not None:
        base = _narrowed(base, [at for at in _keys(base) if at[1] in seeds])
    wanted = _keys(base)
    # What reworded prompts gave answers no prompt of the baseline's.
    reworded = set(differently_worded([base, candidate]))
    known = {at for at in _keys(candidate) if at[0] not in reworded}
    candidate = _narrowed(candidate, [at for at in wanted if at in known])
    candidate = replace(candidate, prompts={p: v for p, v in candidate.prompts.items() if p not in reworded})
    return base, with_rates(_filled(candidate, base, [at for at in wanted if at not in known]))


def _keys(run: RunScores) -> list[tuple[str, int]]:
    return list(zip(run.samples["prompt_id"], run.samples["seed"], strict=True))


def _narrowed(run: RunScores, kept: Sequence[tuple[str, int]]) -> RunScores:
    keys = set(kept)
    tables = []
    for table in (run.samples, run.scores):
        at = zip(table["prompt_id"], table["seed"], strict=True)
        tables.append(table[[key in keys for key in at]].reset_index(drop=True))
    return replace(run, samples=tables[0], scores=tables[1], videos=run.videos.among(kept))


def _filled(run: RunScores, base: RunScores, missing: Sequence[tuple[str, int]]) -> RunScores:
    """The run with a missing sample where the baseline has one and it was never asked for."""
    if not missing:
        return run
    import pandas as pd

    wanted = set(missing)
    at = zip(base.samples["prompt_id"], base.samples["seed"], strict=True)
    rows = base.samples[[key in wanted for key in at]].copy()
    rows["status"], rows["reason"], rows["message"] = "missing", Reason.NEVER_GENERATED, "was never generated"
    rows[["sha256", "wall_seconds", "cost"]] = None
    samples = pd.concat([run.samples.astype(object), rows.astype(object)], ignore_index=True)
    return replace(run, samples=samples.sort_values(["prompt_id", "seed"]).reset_index(drop=True))


def check_quality(
    baseline: Baseline,
    candidate: RunScores,
    infos: Mapping[str, MetricInfo],
    noise: Noise,
    level: float = LEVEL,
    seeds: Sequence[int] | None = None,
    sets: Mapping[str, Estimate] | None = None,
) -> tuple[list[QualityRow], Tail]:
    """A row for every metric of `infos`, in order, and the tail. `sets` are the distribution metrics that
    could be measured."""
    base, other = compared(baseline, candidate, seeds)
    rows: dict[str, QualityRow] = {}
    both, sets = [], sets or {}
    for name, info in infos.items():
        if info.kind == "distribution":
            if name not in sets:
                rows[name] = _unmeasured(name, info)
        elif blocked := _blocked(name, info, base, other):
            rows[name] = blocked
        else:
            both.append(name)
    aligned = align(other, base, both)
    signs = np.array([1.0 if infos[n].direction == "higher" else -1.0 for n in both])
    differences = aligned.exact_differences() * signs
    varies = [bool(np.nansum(np.abs(d)) > 0) for d in differences.T]
    tests = tested(np.where(varies, differences, np.nan), level)
    guards = _guards(aligned, [infos[n] for n in both], [baseline.margins.get(n) for n in both])
    every = [*both, *sets]
    oriented: list[Bounds | None] = [*tests]
    oriented += [_oriented(one) for one in sets.values()]
    judged = judge(oriented, [baseline.margins.get(n) for n in every], [*guards, *[0.0] * len(sets)], level)
    for one, found in zip(sets.values(), judged[len(both) :], strict=True):
        rows[one.info.id] = _row_of_set(one, found, baseline.margins.get(one.info.id))
    for j, name in enumerate(both):
        rows[name] = _row(aligned, j, infos[name], judged[j], differences[:, j], signs[j], baseline, level)
    broken = _tail(baseline, aligned, both, infos, differences, signs, noise, level)
    return [rows[name] for name in infos if name in rows], broken


def _unmeasured(name: str, info: MetricInfo) -> QualityRow:
    message = "was not measured; it needs the reference that distances are measured to (--reference)"
    return QualityRow(
        metric=name, aspect=info.aspect, outcome="not scored", reason=Reason.NOT_SCORED, message=message
    )


@dataclass(frozen=True)
class _Turned:
    """A test of a difference that is better when lower, turned round."""

    test: Test

    def p_above(self, bound: float = 0.0) -> float:
        return self.test.p_below(-bound)

    def p_below(self, bound: float = 0.0) -> float:
        return self.test.p_above(-bound)

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        found = self.test.interval(level)
        return found and (-found[1], -found[0])


def _oriented(one: Estimate) -> Bounds | None:
    if one.test is None:
        return None
    return one.test if one.info.direction == "higher" else _Turned(one.test)


def _row_of_set(one: Estimate, judged: Judged, margin: float | None) -> QualityRow:
    """The row of a distribution metric. A set is one number: what missing videos would have done to it cannot
    be bounded, so low coverage never passes."""
    pair, sign = one.pair, 1.0 if one.info.direction == "higher" else -1.0
    row = QualityRow(
        metric=one.info.id, aspect=one.info.aspect, outcome=judged.outcome, margin=margin,
        difference=pair.difference, bound=None if judged.bound is None else sign * judged.bound,
        p_no_worse=judged.p_no_worse, p_worse=judged.p_worse, n_prompts=pair.n_prompts,
        coverage=pair.coverage,
    )  # fmt: skip
    if pair.difference is None or (one.test is None and pair.difference != 0):
        return row.model_copy(
            update={"outcome": "inconclusive", "reason": pair.reason, "message": pair.message}
        )
    if one.whatever > 0 and judged.outcome != "worse":
        message = "videos lack features on one side"
        return row.model_copy(
            update={"outcome": "inconclusive", "reason": Reason.LOW_COVERAGE, "message": message}
        )
    return row


def _blocked(name: str, info: MetricInfo, base: RunScores, other: RunScores) -> QualityRow | None:
    """Why a metric cannot decide; None where it can. Whatever is missing never passes."""
    row = QualityRow(metric=name, aspect=info.aspect, outcome="not scored")
    for run in (base, other):
        if name not in run.metrics:
            message = f"{run.label} was not scored with it"
            return row.model_copy(update={"reason": Reason.NOT_SCORED, "message": message})
    if base.digests[name] != other.digests[name]:
        reason, message = why_not_comparable(base.metrics[name], other.metrics[name])
        changes = {"outcome": "not comparable", "reason": reason, "message": message}
        return row.model_copy(update=changes)
    return None


def tested(columns: Array, level: float) -> list[Bounds | None]:
    """Tests of oriented differences (prompts, metrics): sign flips, as many as the level takes at the first
    step of Holm's procedure; where that is too many, Student's t."""
    if not columns.shape[1]:
        return []
    flips = max(FLIPS, math.ceil(4 * columns.shape[1] / (0.8 * level)) - 1)
    if flips <= MOST_FLIPS:
        return [*sign_flips(columns, flips)]
    found: list[Bounds | None] = []
    for column, few in zip(columns.T, sign_flips(columns, FLIPS), strict=True):
        d = column[~np.isnan(column)]
        error = float(d.std(ddof=1)) / math.sqrt(len(d)) if len(d) > EXACT_UP_TO else 0.0
        t = Jackknifed(SetDifference(float(d.mean()), error, len(d) - 1)) if error > 0 else few
        found.append(t)
    return found


def _guards(aligned: Aligned, infos: Sequence[MetricInfo], margins: Sequence[float | None]) -> list[float]:
    """p of "no worse" with the candidate's lost scores set to the baseline's worst, as many of them (after
    Lee 2009); 0 where it lost no more than the baseline."""
    guards = Guards(aligned, infos, FLIPS)
    found = []
    for j, (info, margin) in enumerate(zip(infos, margins, strict=True)):
        test = guards.test("accidental", j, True)
        if test is None or margin is None:
            found.append(0.0)
        else:
            found.append(test.p_above(-margin) if info.direction == "higher" else test.p_below(margin))
    return found


def _row(
    aligned: Aligned, j: int, info: MetricInfo, judged: Judged, differences: Array, sign: float,
    baseline: Baseline, level: float,
) -> QualityRow:  # fmt: skip
    # What the baseline itself lacks cannot be asked of the candidate.
    scored, applies = aligned.scored[:, j], aligned.applies[:, j] & ~np.isnan(aligned.b[:, j])
    d = differences[~np.isnan(differences)]
    coverage = float(scored.sum() / applies.sum()) if applies.any() else None
    margin = baseline.margins.get(info.id)
    row = QualityRow(
        metric=info.id, aspect=info.aspect, outcome=judged.outcome, margin=margin, n_prompts=len(d),
        coverage=coverage,
    )  # fmt: skip
    if not applies.any():
        message = "the baseline has no score on it"
        changes = {"outcome": "not scored", "reason": Reason.NO_SHARED_SCORE, "message": message}
        return row.model_copy(update=changes)
    if not len(d):
        message = "no prompt and seed has a score on both sides"
        changes = {"outcome": "not scored", "reason": Reason.NO_SHARED_SCORE, "message": message}
        return row.model_copy(update=changes)
    means = [
        float(np.nanmean(aligned.by_prompt(np.where(scored, side[:, j], np.nan)[:, None])))
        for side in (aligned.b, aligned.a)
    ]
    row = row.model_copy(update={
        "baseline": means[0], "candidate": means[1], "difference": sign * float(d.mean()),
        "bound": None if judged.bound is None else sign * judged.bound,
        "p_no_worse": judged.p_no_worse, "p_worse": judged.p_worse,
    })  # fmt: skip
    if coverage is not None and coverage < MIN_COVERAGE and judged.outcome != "worse":
        lost = int(applies.sum() - scored.sum())
        message = f"the candidate lacks {lost} of {int(applies.sum())} scores"
        changes = {"outcome": "inconclusive", "reason": Reason.LOW_COVERAGE, "message": message}
        return row.model_copy(update=changes)
    if judged.outcome == "inconclusive":
        return row.model_copy(update=_open(d, margin, level))
    return row


def _open(d: Array, margin: float | None, level: float) -> dict[str, object]:
    """Why a metric is inconclusive, and what it would take."""
    if not np.abs(d).sum() > 0:
        message = "the candidate lacks scores, which count as the baseline's worst"
        return {"reason": Reason.MISSING_MAY_MATTER, "message": message}
    if margin is None:
        message = "it has no margin, as the baseline's prompts don't differ; give one with --margin"
        return {"reason": Reason.NO_MARGIN, "message": message}
    spread = float(d.std(ddof=1)) if len(d) > 1 else 0.0
    if len(d) < 2 or not spread > 0:
        return {"reason": Reason.TOO_FEW_PROMPTS, "message": "too few prompts"}
    needed = statistics.prompts_needed(margin, spread, 1 - 2 * level)
    more = max(0, needed - len(d))
    if more:
        message = f"takes about {more} more prompts, if nothing has changed"
        return {"reason": Reason.UNDECIDED, "message": message, "more_prompts": more}
    message = "no worse by its margin is not shown; a smaller change than the margin is likely"
    return {"reason": Reason.UNDECIDED, "message": message}


def _tail(
    baseline: Baseline, aligned: Aligned, names: Sequence[str], infos: Mapping[str, MetricInfo],
    differences: Array, signs: Array, noise: Noise, level: float,
) -> Tail:  # fmt: skip
    """Rare catastrophes over all metrics that are scored by samples, but for rates."""
    used = [j for j, name in enumerate(names) if infos[name].kind == "video"]
    chosen = [names[j] for j in used]
    spreads = files.spreads(baseline, infos)
    mine = differences[:, used]
    found = Tail(n_prompts=int((~np.isnan(mine)).any(1).sum()) if len(mine) and used else 0)
    if not used or not np.nansum(np.maximum(-mine, 0)) > 0:
        return found.model_copy(update={"outcome": "none", "p": 1.0})
    repeats = noise.of(chosen) * signs[used]
    if not np.isfinite(repeats).any(axis=0).all():
        message = (
            "whether single prompts broke was not tested: nothing is known of repeats; calibrate with"
            " repeated runs (t2v-evals gate calibrate), or make the baseline of two seeds or more"
        )
        return found.model_copy(update={"message": message})
    test: TailFound = tail(mine, repeats, np.array([spreads.get(n, 0.0) for n in chosen]), level)
    named = [aligned.prompts[i] for i in test.prompts[:MOST_NAMED]]
    return found.model_copy(update={
        "count": test.count, "n_repeats": test.repeats, "p": test.p, "outcome": test.outcome,
        "prompts": tuple(named), "metrics": tuple(chosen[i] for i in test.worst[:MOST_NAMED]),
    })  # fmt: skip
