"""Paired differences of runs: measured, tested, decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from evals.compare import statistics
from evals.compare.results import Pair, Verdict
from evals.compare.run_scores import RunScores, by_prompt, why_not_comparable
from evals.errors import BECAUSE_OF_THE_PROMPT, Reason
from evals.runs.keys import random_seed

MIN_COVERAGE = 0.95
ALPHA = 0.05


@dataclass
class _Measured:
    """A pair with what was measured of it, before the family's correction."""

    pair: Pair
    test: statistics.SignFlip | None = None


def paired_differences(runs: Sequence[RunScores], metrics: Sequence[str]) -> list[Pair]:
    """All runs against each other on all metrics; a, then b, in the order given. p-values are corrected
    together (Holm)."""
    candidates = [
        (name, a, b)
        for name in metrics
        for a, b in combinations(runs, 2)
        if name in a.metrics or name in b.metrics
    ]
    flips = max(19_999, 100 * len(candidates))
    measured = [_measure(name, a, b, flips) for name, a, b in candidates]
    tested = [one for one in measured if one.test is not None]
    adjusted = statistics.holm([one.test.p for one in tested if one.test])
    for one, p_holm in zip(tested, adjusted, strict=True):
        assert one.test is not None
        smallest = min(1.0, len(tested) * one.test.smallest)
        one.pair = one.pair.model_copy(update={"p_holm": p_holm, "smallest_p_holm": smallest})
    directions = {name: run.metrics[name].direction for run in runs for name in run.metrics}
    return [_decide(one.pair, directions[one.pair.metric]) for one in measured]


def differently_worded(runs: Sequence[RunScores]) -> list[str]:
    """Ids of prompts that have other words in some of the runs."""
    words: dict[str, set[str]] = {}
    for run in runs:
        for prompt in run.prompts.values():
            words.setdefault(prompt.id, set()).add(prompt.text)
    return sorted(prompt_id for prompt_id, texts in words.items() if len(texts) > 1)


def _measure(name: str, a: RunScores, b: RunScores, flips: int) -> _Measured:
    pair = Pair(metric=name, a=a.label, b=b.label)
    for run in (a, b):
        if name not in run.metrics:
            message = f"{run.label} was not scored with it"
            return _Measured(_not_comparable(pair, Reason.NOT_SCORED, message))
    if a.digests[name] != b.digests[name]:
        return _Measured(_not_comparable(pair, *why_not_comparable(a.metrics[name], b.metrics[name])))
    both = _joined(a, b, name)
    applies = both[both["applies_a"] & both["applies_b"]]
    scored = applies[(applies["status_a"] == "ok") & (applies["status_b"] == "ok")]
    coverage = len(scored) / len(applies) if len(applies) else None
    pair = pair.model_copy(update={"n_pairs": len(scored), "coverage": coverage})
    if scored.empty:
        if not (both["planned_a"] & both["planned_b"]).any():
            message = "they share no prompt (in the same words) and seed"
            return _Measured(_not_comparable(pair, Reason.NO_SHARED_PROMPT, message))
        message = "no prompt and seed has a score on both sides"
        return _Measured(pair.model_copy(update={"reason": Reason.NO_SHARED_SCORE, "message": message}))
    differences = by_prompt(scored["value_a"] - scored["value_b"])
    seed = random_seed(name, a.label, b.label)
    found = statistics.difference_interval(differences, seed, a.metrics[name].binary)
    test = statistics.sign_flip(differences, seed, flips)
    measured = {
        "difference": found.mean, "ci_low": found.low, "ci_high": found.high, "p": test.p,
        "n_prompts": differences.size, "detectable": statistics.detectable(differences),
    }  # fmt: skip
    return _Measured(pair.model_copy(update=measured), test)


def _joined(a: RunScores, b: RunScores, name: str) -> pd.DataFrame:
    """Statuses and values of both runs by (prompt id, seed), over all that either planned; the metric
    `applies` unless it was skipped because of the prompt."""
    sides = []
    for run, side in ((a, "a"), (b, "b")):
        rows = run.by_metric.get(name, run.scores.iloc[:0].set_index(["prompt_id", "seed"]))
        skipped = (rows["status"] == "skipped") & rows["reason"].isin(BECAUSE_OF_THE_PROMPT)
        kept = rows[["status", "value"]].assign(applies=~skipped, planned=True)
        sides.append(kept.add_suffix(f"_{side}"))
    both = sides[0].join(sides[1], how="outer")
    for side in ("a", "b"):
        both[f"status_{side}"] = both[f"status_{side}"].fillna("missing")
        both[f"planned_{side}"] = both[f"planned_{side}"].eq(True)
        both[f"applies_{side}"] = both[f"applies_{side}"].ne(False)
    # What a prompt of other words gave is no answer to the same question: it counts as missing.
    reworded = both.index.get_level_values("prompt_id").isin(differently_worded([a, b]))
    both.loc[reworded, ["status_a", "status_b"]] = "missing"
    both.loc[reworded, ["planned_a", "planned_b"]] = False
    return both


def _not_comparable(pair: Pair, reason: Reason, message: str) -> Pair:
    return pair.model_copy(update={"verdict": "not comparable", "reason": reason, "message": message})


def _decide(pair: Pair, direction: str) -> Pair:
    """The verdict of a against b: `better`, `worse`, `differs` (no direction), `no difference shown`, or
    `inconclusive` with the reason."""
    if pair.verdict == "not comparable" or pair.p_holm is None or pair.smallest_p_holm is None:
        return pair
    if pair.coverage is not None and pair.coverage < MIN_COVERAGE:
        message = f"only {pair.coverage:.0%} of the samples have a score on both sides"
        return pair.model_copy(update={"reason": Reason.LOW_COVERAGE, "message": message})
    if pair.smallest_p_holm > ALPHA:
        message = f"too few prompts: the adjusted p cannot go below {pair.smallest_p_holm:.2g}"
        return pair.model_copy(update={"reason": Reason.TOO_FEW_PROMPTS, "message": message})
    assert pair.difference is not None
    verdict: Verdict = "no difference shown"
    if pair.p_holm < ALPHA:
        better = (pair.difference > 0) == (direction == "higher")
        verdict = "differs" if direction == "none" else "better" if better else "worse"
    return pair.model_copy(update={"verdict": verdict})
