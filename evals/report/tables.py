"""The tables of a comparison as CSV, and what page and Markdown share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evals.compare.results import Caution, Comparison, Distribution, Mean
from evals.errors import Reason
from evals.records import ALL, MetricInfo
from evals.report.numbers import interval, number

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_frames(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The CSV files by name. A text that a spreadsheet would take for a formula has a ' before it."""
    frames = {
        "scores": comparison.scores,
        "means": comparison.frame("means"),
        "pairs": comparison.frame("pairs"),
        "standings": comparison.frame("standings"),
        "distributions": comparison.frame("distributions"),
    }
    return {name: frame.map(_no_formula) for name, frame in frames.items()}


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


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
