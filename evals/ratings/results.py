"""What votes say: who is preferred, how surely, whether raters paid attention, and which metrics agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evals.compare.flips import holm, sign_flip
from evals.compare.judges import FAILED
from evals.judges.forms import PAIRWISE
from evals.ratings.agreement import share
from evals.ratings.preference import chances, smallest_preference, strengths
from evals.ratings.study import Pair, Study, Vote
from evals.records import MetricInfo, Record, Score
from evals.runs.keys import metric_digest

RESAMPLES = 1000
LEAST_PROMPTS = 10  # for an interval
LEAST_RATERS = 5  # that are drawn anew, too
ATTENTIVE, LEAST_CHECKS = 0.7, 3  # of blurred checks passed; of checks before anybody is left out
_SEED = 0xB7A7


class ModelPreference(Record):
    """A model among the others: how probably it is preferred to another one, by Bradley and Terry's model
    with ties as half a win of each; the 95 % interval is over prompts, and over raters where there are 5."""

    run: str
    preferred: float
    ci_low: float | None = None
    ci_high: float | None = None
    wins: int
    ties: int
    losses: int


class PairPreference(Record):
    """Two models: the share of votes for a, ties half, by prompts first; p of "as often a as b" and the
    interval that agrees with it, by sign flips over prompts. `smallest` is the smallest share of decisive
    votes that so many independent ones could tell from a half."""

    a: str
    b: str
    preferred: float
    ci_low: float | None
    ci_high: float | None
    p: float
    p_holm: float
    n_prompts: int
    wins: int
    ties: int
    losses: int
    smallest: float


class RaterReport(Record):
    """A rater: votes on pairs, blurred checks passed and given, repeats answered alike and given, the share
    of decisive votes for the left side. `kept`: whether the votes count. A judge's `inconsistent` pairs got
    another answer in the other order, and don't count."""

    rater: str
    votes: int
    checks_passed: int = 0
    checks: int = 0
    repeats_alike: int = 0
    repeats: int = 0
    left_share: float | None = None
    inconsistent: int = 0
    kept: bool = True


class MetricAgreement(Record):
    """How often a metric, or a judge, prefers the clip that people prefer: over `n` decisive votes, equal
    numbers half."""

    metric: str
    agreement: float
    ci_low: float | None = None
    ci_high: float | None = None
    n: int


class Preferences(Record):
    """What the votes of people, or of one judge, say. `doubt`: why a judge's have no verdicts; then there are
    no `pairs`."""

    by: str
    aspect: str
    models: tuple[ModelPreference, ...]
    pairs: tuple[PairPreference, ...]
    raters: tuple[RaterReport, ...]
    agreement: tuple[MetricAgreement, ...] = ()
    n_votes: int
    n_prompts: int
    over_raters: bool = False
    doubt: str = ""


def is_judge(vote: Vote) -> bool:
    """Whether a vote is a judge's, who was asked in both orders."""
    return vote.left == "both"


def preferences(
    study: Study, votes: Sequence[Vote], by: str = "people", keep_all: bool = False,
    agreement: Sequence[MetricAgreement] = (), doubt: str = "",
) -> Preferences:  # fmt: skip
    """What votes of one kind say. Raters who fail more than 3 blurred checks in 10, of at least 3, are left
    out unless `keep_all`."""
    pairs = {pair.id: pair for pair in study.pairs}
    raters = [_rater(name, mine, keep_all) for name, mine in sorted(_by_rater(votes).items())]
    kept = {one.rater for one in raters if one.kept}
    counted = [v for v in votes if v.kind == "pair" and v.rater in kept and not v.inconsistent]
    labels = [run.label for run in study.runs]
    many = len({vote.rater for vote in counted}) >= LEAST_RATERS
    return Preferences(
        by=by, aspect=study.aspect, models=tuple(_models(labels, counted, pairs, many)),
        pairs=() if doubt else tuple(_pairs(labels, counted, pairs)), raters=tuple(raters),
        agreement=tuple(agreement), n_votes=len(counted),
        n_prompts=len({pairs[v.pair].prompt_id for v in counted}), over_raters=many, doubt=doubt,
    )  # fmt: skip


def _by_rater(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    found: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        found[vote.rater].append(vote)
    return found


def _rater(name: str, votes: Sequence[Vote], keep_all: bool) -> RaterReport:
    first = {vote.pair: vote.choice for vote in votes if vote.kind == "pair"}
    checks = [vote.choice == "a" for vote in votes if vote.kind == "blurred"]
    repeats = [vote.choice == first.get(vote.pair) for vote in votes if vote.kind == "repeat"]
    sides = [v.choice == v.left for v in votes if v.kind == "pair" and v.choice != "tie" and v.left != "both"]
    attentive = len(checks) < LEAST_CHECKS or sum(checks) / len(checks) >= ATTENTIVE
    return RaterReport(
        rater=name, votes=len(first), checks_passed=sum(checks), checks=len(checks),
        repeats_alike=sum(repeats), repeats=len(repeats),
        left_share=sum(sides) / len(sides) if sides else None,
        inconsistent=sum(vote.inconsistent for vote in votes), kept=keep_all or attentive,
    )  # fmt: skip


def _models(
    labels: Sequence[str], votes: Sequence[Vote], pairs: Mapping[str, Pair], over_raters: bool
) -> list[ModelPreference]:
    """Bradley–Terry over all votes, with a bootstrap over prompts, and over raters where there are enough."""
    k, place = len(labels), {label: i for i, label in enumerate(labels)}
    if not votes:
        return []
    points = np.zeros((len(votes), k * k))
    tally: dict[str, Counter[str]] = defaultdict(Counter)
    for row, vote in enumerate(votes):
        a, b = pairs[vote.pair].a, pairs[vote.pair].b
        i, j = place[a], place[b]
        for_a = {"a": 1.0, "b": 0.0, "tie": 0.5}[vote.choice]
        points[row, i * k + j], points[row, j * k + i] = for_a, 1 - for_a
        tally[a][{"a": "wins", "b": "losses", "tie": "ties"}[vote.choice]] += 1
        tally[b][{"a": "losses", "b": "wins", "tie": "ties"}[vote.choice]] += 1
    found = chances(strengths(points.sum(0).reshape(k, k)))
    low = high = None
    prompts = [pairs[vote.pair].prompt_id for vote in votes]
    if len(set(prompts)) >= LEAST_PROMPTS:
        weights = _draws(prompts, 0)
        if over_raters:
            weights = weights * _draws([vote.rater for vote in votes], 1)
        drawn = chances(strengths((weights @ points).reshape(-1, k, k)))
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="inverted_cdf")
    return [
        ModelPreference(
            run=label, preferred=float(found[i]), wins=tally[label]["wins"], ties=tally[label]["ties"],
            losses=tally[label]["losses"], ci_low=None if low is None else float(low[i]),
            ci_high=None if high is None else float(high[i]),
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip


def _draws(groups: Sequence[str], factor: int) -> NDArray[np.float64]:
    """How often each item is drawn when its groups are drawn with replacement (RESAMPLES, items); other
    random numbers for another `factor`."""
    names = sorted(set(groups))
    rng = np.random.default_rng([_SEED, factor, len(names)])
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    rows = {name: i for i, name in enumerate(names)}
    return drawn[:, [rows[group] for group in groups]].astype(np.float64)


def _pairs(labels: Sequence[str], votes: Sequence[Vote], pairs: Mapping[str, Pair]) -> list[PairPreference]:
    made: list[PairPreference] = []
    for a, b in combinations(labels, 2):
        mine = [vote for vote in votes if {pairs[vote.pair].a, pairs[vote.pair].b} == {a, b}]
        if not mine:
            continue
        by_prompt: dict[str, list[float]] = defaultdict(list)
        counts: Counter[str] = Counter()
        for vote in mine:
            pair = pairs[vote.pair]
            sign = {"a": 1.0, "b": -1.0, "tie": 0.0}[vote.choice] * (1 if pair.a == a else -1)
            by_prompt[pair.prompt_id].append(sign)
            counts["wins" if sign > 0 else "losses" if sign < 0 else "ties"] += 1
        means = [float(np.mean(values)) for values in by_prompt.values()]
        test = sign_flip(means)
        bounds = test.interval() if any(means) else None
        low, high = (
            (None, None) if bounds is None else (max(0.0, (1 + bounds[0]) / 2), min(1.0, (1 + bounds[1]) / 2))
        )
        made.append(
            PairPreference(
                a=a, b=b, preferred=(1 + test.mean) / 2, ci_low=low, ci_high=high,
                p=test.p if any(means) else 1.0, p_holm=1.0, n_prompts=len(means), wins=counts["wins"],
                ties=counts["ties"], losses=counts["losses"],
                smallest=smallest_preference(counts["wins"] + counts["losses"]),
            )
        )  # fmt: skip
    adjusted = holm([one.p for one in made])
    return [one.model_copy(update={"p_holm": p}) for one, p in zip(made, adjusted, strict=True)]


def doubt_of_judge(study: Study, digest: str) -> str:
    """Why the preferences of a judge, by its spec's digest, have no verdicts; empty for a good one."""
    known = study.calibrations.get(digest)
    if known is None:
        return "it was not asked its controls"
    if not known.pinned:
        return "its name can come to mean another model"
    if not set(PAIRWISE) <= {*known.rates, *known.fails}:
        return "it was not asked about pairs in its controls"
    return "; ".join(f"it {FAILED[one]}" for one in PAIRWISE if one in known.fails)


def metric_agreement(
    study: Study, votes: Sequence[Vote], metrics: Mapping[str, Mapping[str, MetricInfo]],
    scores: Mapping[str, Mapping[tuple[str, int], Mapping[str, Score]]], judges: Sequence[Vote] = (),
    clips: Mapping[str, Mapping[tuple[str, int], str]] | None = None,
) -> list[MetricAgreement]:  # fmt: skip
    """How often each metric and each judge agrees with people's decisive `votes`. `metrics`, `scores` and the
    SHA-256 of `clips` are by run; scores of other clips than were voted on don't count."""
    pairs = {pair.id: pair for pair in study.pairs}
    decisive = [vote for vote in votes if vote.kind == "pair" and vote.choice != "tie"]
    values: dict[str, list[tuple[float, str]]] = defaultdict(list)
    said = {(vote.rater, vote.pair): vote for vote in judges}
    names = dict.fromkeys(vote.rater for vote in judges)
    for vote in decisive:
        pair = pairs[vote.pair]
        at = (pair.prompt_id, pair.seed)
        mine, theirs = (scores[run].get(at, {}) for run in (pair.a, pair.b))
        now = None if clips is None else tuple(clips.get(run, {}).get(at) for run in (pair.a, pair.b))
        if now not in (None, (pair.sha256_a, pair.sha256_b)):
            mine = theirs = {}
        for name, info in metrics[pair.a].items():
            other = metrics[pair.b].get(name)
            if info.direction == "none" or other is None or metric_digest(other) != metric_digest(info):
                continue
            x, y = (side[name].value if name in side else None for side in (mine, theirs))
            if x is not None and y is not None:
                better = (x > y) if info.direction == "higher" else (x < y)
                agrees = 0.5 if x == y else float(better == (vote.choice == "a"))
                values[name].append((agrees, pair.prompt_id))
        for name in names:
            if (judged := said.get((name, vote.pair))) is not None:
                undecided = judged.inconsistent or judged.choice == "tie"
                agrees = 0.5 if undecided else float(judged.choice == vote.choice)
                values[f"judge_pairwise[{name}]"].append((agrees, pair.prompt_id))
    made = []
    for name, found in values.items():
        one = share([value for value, _ in found], [prompt for _, prompt in found])
        made.append(
            MetricAgreement(metric=name, agreement=one.value, ci_low=one.low, ci_high=one.high, n=one.n)
        )
    return sorted(made, key=lambda one: -one.agreement)
