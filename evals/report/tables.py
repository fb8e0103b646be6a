"""The tables of a comparison as CSV, and the words and numbers that page, Markdown and terminal share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from evals.compare.results import Caution, Comparison, Distribution, Mean, Pair, Verdict
from evals.errors import Reason
from evals.records import ALL, MetricInfo

SENTENCES: dict[Verdict, str] = {
    "better": "is better than {b} on {m}",
    "worse": "is worse than {b} on {m}",
    "differs": "differs from {b} on {m}",
    "no difference shown": "was not shown to differ from {b} on {m}",
    "inconclusive": "compared with {b} is inconclusive on {m} (too little data)",
    "not comparable": "is not comparable with {b} on {m}",
}


FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_frames(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The CSV files by name. A text that a spreadsheet would take for a formula has a ' before it."""
    frames = {
        "scores": comparison.scores,
        "means": comparison.frame("means"),
        "pairs": comparison.frame("pairs"),
        "distributions": comparison.frame("distributions"),
    }
    return {name: frame.map(_no_formula) for name, frame in frames.items()}


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def number(value: float | None, digits: int = 4) -> str:
    """A value for people: `digits` significant, an en dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(places, 6)}f}"
    return f"{value:.{digits - 1}e}"


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """`[low, high]`, or nothing where no interval is valid."""
    return "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def arrow(info: MetricInfo) -> str:
    """Which way is better."""
    return {"higher": "↑", "lower": "↓", "none": ""}[info.direction]


def cells(comparison: Comparison, category: str = ALL) -> list[tuple[MetricInfo, list[list[str]]]]:
    """For every video metric, each run's mean, interval and counts as short texts."""
    found = {(m.metric, m.run): m for m in comparison.means if m.category == category}
    return [
        (info, [_cell(found.get((info.id, label))) for label in comparison.labels])
        for info in comparison.of_kind("video")
    ]


def _cell(mean: Mean | None) -> list[str]:
    if mean is None:
        return ["–"]
    others = {"f": mean.n_failed, "r": mean.n_refused, "s": mean.n_skipped, "m": mean.n_missing}
    counts = [f"n={mean.n_ok}", *(f"{n}{letter}" for letter, n in others.items() if n)]
    texts = [number(mean.mean), interval(mean.ci_low, mean.ci_high), f"({' '.join(counts)})"]
    return [text for text in texts if text]


def unmeasured(comparison: Comparison) -> str:
    """What could be measured against a reference, where none was given; else nothing."""
    names = [info.id for info in comparison.of_kind("distribution")]
    tried = any(w.code in (Caution.NOT_MEASURED, Caution.REFERENCE_IS_RUN) for w in comparison.warnings)
    if not names or comparison.distributions or tried:
        return ""
    return f"{', '.join(names)}: measured against a reference; give one with --reference RUN or FOLDER."


def protocols(comparison: Comparison) -> list[str]:
    """How each distribution metric was computed, and on what."""
    found = {one.metric: one.protocol for one in comparison.distributions}
    notes = {name: comparison.metrics[name].note for name in found}
    return [f"{name}: {'; '.join(filter(None, (how, notes[name])))}." for name, how in found.items()]


def value_or_reason(one: Distribution) -> str:
    """A distribution metric's value for people, or in two words why there is none."""
    if one.value is not None:
        return number(one.value)
    return "out of domain" if one.reason == Reason.OUT_OF_DOMAIN else "–"


def findings(comparison: Comparison, of: str | None = None) -> list[str]:
    """What was found of every pair of runs, or of those with `of`, a sentence each; then distances."""
    by_pair: dict[tuple[str, str], list[Pair]] = {}
    for pair in comparison.pairs:
        if of is None or of in (pair.a, pair.b):
            by_pair.setdefault((pair.a, pair.b), []).append(pair)
    return [_sentence(a, b, pairs) for (a, b), pairs in by_pair.items()] + _distances(comparison)


def _sentence(a: str, b: str, pairs: Sequence[Pair]) -> str:
    parts = []
    for verdict, words in SENTENCES.items():
        metrics = [pair.metric for pair in pairs if pair.verdict == verdict]
        if metrics:
            parts.append(words.format(b=b, m=", ".join(metrics)))
    return f"{a} " + "; ".join(parts) + "."


def _distances(comparison: Comparison) -> list[str]:
    """What was found of the distances that have intervals, a sentence per metric and reference."""
    groups: dict[tuple[str, str], list[Distribution]] = {}
    for one in comparison.distributions:
        if one.ci_low is not None:
            groups.setdefault((one.metric, one.reference), []).append(one)
    sentences = []
    for (metric, reference), group in groups.items():
        ordered = sorted(group, key=lambda one: one.value or 0.0)
        parts = [f"{d.run} {number(d.value, 2)} {interval(d.ci_low, d.ci_high, 2)}" for d in ordered]
        apart = [d.run for d in ordered if d.ci_low is not None and d.ci_low > 0]
        end = f"apart from it: {', '.join(apart)}" if apart else "none is shown to be apart from it"
        sentences.append(f"{metric} to {reference}: {'; '.join(parts)}; {end}.")
    return sentences
