"""Paired differences of runs, tested and put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from evals import statistics
from evals.compare.load import LoadedRun, by_prompt, seed_of, why_not_comparable

MIN_COVERAGE = 0.8
ALPHA = 0.05

PAIRS = [
    "metric", "a", "b", "difference", "ci_low", "ci_high", "p", "p_holm", "verdict", "n_pairs",
    "n_prompts", "coverage", "detectable", "smallest_p_holm", "reason",
]  # fmt: skip


@dataclass
class _Pair:
    metric: str
    a: LoadedRun
    b: LoadedRun
    reason: str = ""
    verdict: str = ""
    pairs: int = 0
    prompts: int = 0
    coverage: float | None = None
    estimate: statistics.Estimate | None = None
    test: statistics.SignFlip | None = None
    detectable: float | None = None
    p_holm: float | None = None
    smallest: float | None = None

    def row(self) -> tuple[Any, ...]:
        e, t = self.estimate, self.test
        return (
            self.metric, self.a.label, self.b.label, e and e.mean, e and e.low, e and e.high, t and t.p,
            self.p_holm, self.verdict, self.pairs, self.prompts, self.coverage, self.detectable,
            self.smallest, self.reason,
        )  # fmt: skip


def pairs(runs: Sequence[LoadedRun], video: Sequence[str], warnings: list[str]) -> pd.DataFrame:
    """All runs against each other on all metrics; a, then b, in the order given."""
    other_words = _other_words(runs)
    found = []
    candidates = [
        (name, a, b)
        for name in video
        for a, b in combinations(runs, 2)
        if name in a.metrics or name in b.metrics
    ]
    for name, a, b in candidates:
        found.append(_measure(name, a, b, other_words, flips=max(19_999, 100 * len(candidates))))
    tested = [p for p in found if p.test is not None]
    adjusted = statistics.holm([p.test.p for p in tested if p.test])
    for pair, p_holm in zip(tested, adjusted, strict=True):
        assert pair.test is not None
        pair.p_holm = p_holm
        pair.smallest = min(1.0, len(tested) * pair.test.smallest)
    for pair in found:
        _decide(pair)
    if other_words:
        listed = ", ".join(sorted(other_words)[:5])
        warnings.append(f"prompts with other words in some runs are left out of the pairs: {listed}")
    return pd.DataFrame([p.row() for p in found], columns=PAIRS)


def _measure(name: str, a: LoadedRun, b: LoadedRun, leave_out: set[str], flips: int) -> _Pair:
    pair = _Pair(name, a, b)
    for run in (a, b):
        if name not in run.metrics:
            pair.reason, pair.verdict = f"{run.label} was not scored with it", "not comparable"
            return pair
    if a.metrics[name].digest != b.metrics[name].digest:
        pair.reason, pair.verdict = why_not_comparable(a.metrics[name], b.metrics[name]), "not comparable"
        return pair
    planned = set(a.run.info.sample_ids()) | set(b.run.info.sample_ids())
    planned = {at for at in planned if at[0] not in leave_out}
    status = {at: (a.status(at, name), b.status(at, name)) for at in planned}
    applies = {at: s for at, s in status.items() if "skipped" not in (s[0][0], s[1][0])}
    both = {at: s[0][1] - s[1][1] for at, s in applies.items() if s[0][1] is not None and s[1][1] is not None}
    pair.pairs = len(both)
    pair.coverage = len(both) / len(applies) if applies else None
    if not both:
        shared = set(a.run.info.sample_ids()) & set(b.run.info.sample_ids())
        if not {at for at in shared if at[0] not in leave_out}:
            pair.reason, pair.verdict = "they share no prompt (in the same words) and seed", "not comparable"
        else:
            pair.reason = "no prompt and seed has a score on both sides"
        return pair
    differences = by_prompt(both)
    seed = seed_of(name, a.label, b.label)
    pair.prompts = differences.size
    pair.estimate = statistics.difference_interval(differences, seed, a.metrics[name].binary)
    pair.test = statistics.sign_flip(differences, seed, flips)
    pair.detectable = statistics.detectable(differences)
    return pair


def _decide(pair: _Pair) -> None:
    """`better`, `worse`, `differs` (no direction), `no difference shown`, `cannot decide`: of a against b."""
    if pair.verdict:
        return
    if pair.test is None or pair.estimate is None or pair.p_holm is None or pair.smallest is None:
        pair.verdict = "cannot decide"
    elif pair.coverage is not None and pair.coverage < MIN_COVERAGE:
        pair.verdict = "cannot decide"
        pair.reason = f"only {pair.coverage:.0%} of the samples have a score on both sides"
    elif pair.smallest > ALPHA:
        pair.verdict = "cannot decide"
        pair.reason = f"too few prompts: the adjusted p cannot go below {pair.smallest:.2g}"
    elif pair.p_holm >= ALPHA:
        pair.verdict = "no difference shown"
    else:
        direction = pair.a.metrics[pair.metric].direction
        if direction == "none":
            pair.verdict = "differs"
        else:
            pair.verdict = "better" if (pair.estimate.mean > 0) == (direction == "higher") else "worse"


def _other_words(runs: Sequence[LoadedRun]) -> set[str]:
    words: dict[str, set[str]] = {}
    for run in runs:
        for prompt in run.prompts.values():
            words.setdefault(prompt.id, set()).add(prompt.text)
    return {prompt_id for prompt_id, texts in words.items() if len(texts) > 1}
