"""The tables of a comparison as CSV, and what page and Markdown share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evals.compare.results import Caution, Comparison, Distribution, Mean, Pair
from evals.errors import Reason
from evals.records import ALL, ASPECTS, Aspect, MetricInfo
from evals.report.numbers import interval, number

HOW: dict[Aspect, str] = {
    "alignment": "the videos have no prompts, or no metric of the suite reads them",
    "motion": "no metric of the suite suits these videos",
    "consistency": "no metric of the suite suits these videos",
    "appearance": "no metric of the suite suits these videos",
    "physics": "no metric of this suite tests it; the suite `physics` does",
    "realism": "give real clips with --reference",
    "cost": "the generator reported no time or price",
}
"""Why an aspect has no value, or what gives it one."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def frames(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Every table of a comparison by its name."""
    return {
        "scores": comparison.scores,
        "means": comparison.frame("means"),
        "pairs": comparison.frame("pairs"),
        "standings": comparison.frame("standings"),
        "categories": comparison.frame("categories"),
        "distributions": comparison.frame("distributions"),
        "parts": comparison.frame("parts"),
        "problems": comparison.frame("problems"),
    }


def csv_frames(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The CSV files by name. A text that a spreadsheet would take for a formula has a ' before it."""
    return {name: frame.map(_no_formula) for name, frame in frames(comparison).items()}


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


def not_measured(comparison: Comparison) -> list[str]:
    """Aspects that a reader looks for and that no metric of this comparison measures, with how to have
    them."""
    valued = {m.metric for m in comparison.means if m.mean is not None}
    valued |= {d.metric for d in comparison.distributions if d.value is not None}
    there = {info.aspect for info in comparison.metrics.values() if info.id in valued}
    if any(r.seconds_per_video is not None or r.cost_per_video is not None for r in comparison.runs):
        there.add("cost")
    return [f"{aspect}: {how}" for aspect, how in HOW.items() if aspect not in there]


def pair_rows(comparison: Comparison) -> list[Pair]:
    """The paired differences, by aspect, primary metrics first."""
    order = {name: i for i, name in enumerate(comparison.metrics)}

    def key(pair: Pair) -> tuple[int, bool, int]:
        info = comparison.metrics[pair.metric]
        return ASPECTS.index(info.aspect), info.role != "primary", order[pair.metric]

    return sorted(comparison.pairs, key=key)


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
