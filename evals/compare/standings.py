"""One line for a pair of runs: which aspects a wins, which it loses, and whether that makes it better.

A mean of ranks and a count of wins are led by a model that hardly moves, since stillness is rewarded by most
metrics. So aspects are not added up: a is better if it wins one and is clearly worse in none, and
consistency counts only where both move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.compare.aligned import Aligned, align
from evals.compare.decide import favoured, losses
from evals.compare.flips import SignFlip, holm, sign_flip, sign_flips
from evals.compare.results import AspectResult, CategoryGain, Outcome, Overall, Pair, RunSummary, Standing
from evals.compare.rules import ALPHA, MARGIN, Rules
from evals.compare.run_scores import RunScores
from evals.records import Aspect, MetricInfo

Array = NDArray[np.float64]

JUDGED: tuple[Aspect, ...] = ("alignment", "motion", "consistency", "appearance", "physics", "other")
"""Those that are judged prompt by prompt. Realism is judged by set, from its pairs."""
CLEARLY_WORSE = -0.25
"""Of the between-prompt standard deviation: the loss that must be ruled out in every aspect."""
MOVES = 0.5
"""The least motion score of a video that moves."""
ROUNDING = 1e-12
CATEGORY_FLIPS = 1_999
"""Of intervals that describe and decide nothing."""


@dataclass(frozen=True)
class _Gain:
    """An aspect's gain by prompt (n,), NaN where there is none, and its test."""

    aspect: Aspect
    metrics: tuple[str, ...]
    by_prompt: Array
    test: SignFlip | None


def standing(
    a: RunScores, b: RunScores, infos: Mapping[str, MetricInfo], pairs: Sequence[Pair], rules: Rules
) -> Standing:
    """a against b, from the primary metrics that compare; `pairs` are those of a and b, decided."""
    comparable = {p.metric for p in pairs if p.difference is not None and infos[p.metric].kind == "video"}
    blurrier = losses(pairs, [infos[p.metric] for p in pairs])[a.label, b.label, "blur"]
    from_blur = {
        p.metric for p in pairs
        if "blur" in infos[p.metric].rewarded_by and favoured(p, infos[p.metric]) in blurrier
    }  # fmt: skip
    names = [n for n in infos if n in comparable - from_blur]
    aligned = align(a, b, names)
    gains = _gains(aligned, [infos[n] for n in names])
    tested = [g for g in gains if g.test is not None]
    p_values = dict(zip([g.aspect for g in tested], holm([g.test.p for g in tested if g.test]), strict=True))
    results = [_result(gain, p_values.get(gain.aspect)) for gain in gains]
    results += _realism(pairs, infos)
    return Standing(
        a=a.label, b=b.label, overall=_overall(results), aspects=tuple(results),
        categories=tuple(_by_category(gains, _categories(aligned.prompts, a, b))),
        **_weighted(gains, rules.weights),
    )  # fmt: skip


def _gains(aligned: Aligned, infos: Sequence[MetricInfo]) -> list[_Gain]:
    scored = aligned.scored
    a = aligned.by_prompt(np.where(scored, aligned.a, np.nan))
    b = aligned.by_prompt(np.where(scored, aligned.b, np.nan))
    moving = _both_move(a, b, infos)
    columns, found = [], []
    for aspect in JUDGED:
        signed, names = [], []
        for j, info in enumerate(infos):
            if info.aspect != aspect or info.role != "primary":
                continue
            spread = _spread(a[:, j], b[:, j])
            if spread > 0:
                sign = 1.0 if info.direction == "higher" else -1.0
                signed.append(sign * (a[:, j] - b[:, j]) / spread)
                names.append(info.id)
        if not signed:
            continue
        gain = _mean(np.stack(signed, 1))
        columns.append(np.where(moving, gain, np.nan) if aspect == "consistency" else gain)
        found.append((aspect, tuple(names)))
    if not found:
        return []
    tests = sign_flips(np.stack(columns, 1))
    return [_Gain(aspect, names, column, test)
            for (aspect, names), column, test in zip(found, columns, tests, strict=True)]  # fmt: skip


def _spread(a: Array, b: Array) -> float:
    """The standard deviation between prompts, of both sides together; 0 where it cannot be known."""
    both = [side[~np.isnan(side)] for side in (a, b)]
    if len(both[0]) < 2:
        return 0.0
    spread = float(np.sqrt(np.mean([side.var(ddof=1) for side in both])))
    return spread if spread > ROUNDING * max(float(np.abs(side).max()) for side in both) else 0.0


def _both_move(a: Array, b: Array, infos: Sequence[MetricInfo]) -> NDArray[np.bool_]:
    """By prompt, whether both sides' videos move; true where no metric says."""
    shows = [j for j, info in enumerate(infos) if "stillness" in info.reveals]
    shows.sort(key=lambda j: infos[j].binary)  # a score says more than a yes or no
    if not shows:
        return np.ones(len(a), bool)
    return np.asarray((a[:, shows[0]] >= MOVES) & (b[:, shows[0]] >= MOVES))


def _mean(values: Array) -> Array:
    """The mean of each row over what it has; NaN where it has nothing."""
    present = ~np.isnan(values)
    counts = present.sum(1)
    sums = np.where(present, values, 0.0).sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _result(gain: _Gain, p_holm: float | None) -> AspectResult:
    values = gain.by_prompt[~np.isnan(gain.by_prompt)]
    interval = gain.test.interval() if gain.test else None
    mean = gain.test.mean if gain.test else None
    decided = p_holm is not None and p_holm <= ALPHA + ROUNDING and mean
    outcome: Outcome = "open" if not decided else "wins" if decided > 0 else "loses"
    if gain.test is not None and gain.test.within(MARGIN) <= ALPHA + ROUNDING:
        outcome = "equal"
    return AspectResult(
        aspect=gain.aspect, metrics=gain.metrics, gain=mean,
        ci_low=interval[0] if interval else None, ci_high=interval[1] if interval else None,
        p_holm=p_holm, outcome=outcome,
        win_rate=float(np.mean((values > 0) + 0.5 * (values == 0))) if len(values) else None,
        n_prompts=len(values),
    )  # fmt: skip


def _categories(prompts: Sequence[str], a: RunScores, b: RunScores) -> list[str]:
    return [(a.prompts.get(name) or b.prompts[name]).category for name in prompts]


def _by_category(gains: Sequence[_Gain], categories: Sequence[str]) -> Iterator[CategoryGain]:
    """Every aspect's gain in each category, where there are several; `categories` are the prompts'."""
    names = list(dict.fromkeys(categories))
    of = np.array(categories)
    for name in names if len(names) > 1 and gains else ():
        tests = sign_flips(np.stack([gain.by_prompt[of == name] for gain in gains], 1), CATEGORY_FLIPS)
        for gain, test in zip(gains, tests, strict=True):
            if test is not None:
                low, high = test.interval() or (None, None)
                yield CategoryGain(
                    category=name,
                    aspect=gain.aspect,
                    gain=test.mean,
                    ci_low=low,
                    ci_high=high,
                    n_prompts=test.n,
                )


def _realism(pairs: Sequence[Pair], infos: Mapping[str, MetricInfo]) -> list[AspectResult]:
    """Realism by the verdicts of its distances: it has no value per prompt."""
    mine = [p for p in pairs if infos[p.metric].aspect == "realism" and infos[p.metric].role == "primary"
            and p.difference is not None]  # fmt: skip
    if not mine:
        return []
    verdicts = {p.verdict for p in mine}
    wins, loses = "better" in verdicts, "worse" in verdicts
    return [AspectResult(
        aspect="realism", metrics=tuple(p.metric for p in mine), gain=None, ci_low=None, ci_high=None,
        p_holm=min((p.p_holm for p in mine if p.p_holm is not None), default=None),
        outcome="open" if wins == loses else "wins" if wins else "loses", win_rate=None,
        n_prompts=max(p.n_prompts for p in mine),
    )]  # fmt: skip


def _overall(results: Sequence[AspectResult]) -> Overall:
    wins = any(one.outcome == "wins" for one in results)
    loses = any(one.outcome == "loses" for one in results)
    if wins and loses:
        return "mixed"
    if not wins and not loses:
        alike = bool(results) and all(one.outcome == "equal" for one in results)
        return "equivalent" if alike else "no difference shown"
    per_prompt = [one for one in results if one.gain is not None]
    if wins:
        safe = all(one.ci_low is not None and one.ci_low > CLEARLY_WORSE for one in per_prompt)
        return "better" if safe else "ahead"
    safe = all(one.ci_high is not None and one.ci_high < -CLEARLY_WORSE for one in per_prompt)
    return "worse" if safe else "behind"


def _weighted(gains: Sequence[_Gain], weights: Mapping[Aspect, float]) -> dict[str, float | None]:
    """The weighted mean of the aspects' gains over prompts, with its interval; nothing without weights."""
    chosen = [gain for gain in gains if weights.get(gain.aspect)]
    if not chosen:
        return {}
    parts = np.stack([gain.by_prompt for gain in chosen], 1)
    share = np.array([weights[gain.aspect] for gain in chosen], np.float64)
    present = ~np.isnan(parts)
    total = (present * share).sum(1)
    values = (np.where(present, parts, 0.0) * share).sum(1)[total > 0] / total[total > 0]
    if not len(values):
        return {}
    test = sign_flip(values)
    low, high = test.interval() or (None, None)
    return {"weighted": test.mean, "weighted_low": low, "weighted_high": high}


def with_front(runs: Sequence[RunSummary], standings: Sequence[Standing]) -> list[RunSummary]:
    """The runs with whether they are on the front of quality against cost and time: off it is a run that
    another one is better than without costing more of either. Unknown where costs or some pairs are."""
    compared = len(standings) == len(runs) * (len(runs) - 1) // 2
    known = [
        field for field in ("cost_per_video", "seconds_per_video")
        if all(getattr(run, field) is not None for run in runs)
    ]  # fmt: skip
    if not compared or not known or len(runs) < 2:
        return list(runs)
    by_label = {run.run: run for run in runs}
    beaten = set()
    for one in standings:
        for winner, loser, word in ((one.a, one.b, "better"), (one.b, one.a, "worse")):
            costs = [(getattr(by_label[winner], f), getattr(by_label[loser], f)) for f in known]
            if one.overall == word and all(ours <= theirs for ours, theirs in costs):
                beaten.add(loser)
    return [run.model_copy(update={"on_front": run.run not in beaten}) for run in runs]
