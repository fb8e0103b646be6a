"""The frames of a comparison as CSV tables and JSON, and the words that go with them."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from evals.compare import Comparison, LoadedRun
from evals.compare.sets import OUT
from evals.records import MetricInfo

VERDICTS = ("better", "worse", "differs", "no difference shown", "cannot decide", "not comparable")


def frames(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The CSV files by name."""
    return {
        "scores": comparison.scores,
        "summary": comparison.summary,
        "pairs": comparison.pairs,
        "sets": comparison.sets,
    }


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything a program may want, with what each metric is and where the runs come from."""
    return {
        "view": comparison.view,
        "runs": [
            {
                "label": run.label,
                "generator": run.run.info.label,
                "samples_planned": len(run.run.info.sample_ids()),
                "samples_ok": sum(s.outcome == "ok" for s in run.samples.values()),
                "versions": versions(run),
                "hardware": run.run.info.provenance.get("hardware", {}),
                "revision": run.run.info.provenance.get("revision"),
            }
            for run in comparison.runs
        ],
        "warnings": comparison.warnings,
        "metrics": {name: info.to_json() for name, info in comparison.metrics.items()},
        "summary": records(comparison.summary),
        "pairs": records(comparison.pairs),
        "sets": records(comparison.sets),
        "problems": records(comparison.problems),
    }


def versions(run: LoadedRun) -> dict[str, str]:
    """What a run was made with, as far as it is recorded."""
    found = run.run.info.provenance.get("versions")
    return found if isinstance(found, dict) else {}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects; what is missing is null."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def number(value: Any, digits: int = 4) -> str:
    """A value for people: `digits` significant, an en dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    value = float(value)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(places, 6)}f}"
    return f"{value:.{digits - 1}e}"


def interval(low: Any, high: Any, digits: int = 4) -> str:
    """`[low, high]`, or nothing where no interval is valid."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low, digits)}, {number(high, digits)}]"


def arrow(info: MetricInfo) -> str:
    """Which way is better."""
    return {"higher": "↑", "lower": "↓", "none": ""}[info.direction]


def unmeasured(comparison: Comparison) -> str:
    """What could be measured against a reference, where none was given; else nothing."""
    sets = [name for name, info in comparison.metrics.items() if info.kind == "set"]
    if not sets or len(comparison.sets) or any(s in w for s in sets for w in comparison.warnings):
        return ""
    return f"{', '.join(sets)}: a distance to a reference; give one with --reference RUN or FOLDER."


def protocols(comparison: Comparison) -> list[str]:
    """How each distance was computed, and what it is of."""
    found = {s["metric"]: s["protocol"].removesuffix(OUT) for s in comparison.sets.to_dict("records")}
    notes = {name: comparison.metrics[name].note for name in found}
    return [f"{name}: {'; '.join(filter(None, (how, notes[name])))}." for name, how in found.items()]


def distances(comparison: Comparison) -> list[str]:
    """What was found of the distances that have intervals, a sentence per metric and reference."""
    sentences = []
    measured = comparison.sets[comparison.sets["ci_low"].notna()]
    for (metric, reference), group in measured.groupby(["metric", "reference"], sort=False):
        parts = [
            f"{s['generator']} {number(s['value'], 2)} {interval(s['ci_low'], s['ci_high'], 2)}"
            for s in group.sort_values("value").to_dict("records")
        ]
        apart = list(group.loc[group["ci_low"] > 0].sort_values("value")["generator"])
        end = f"apart from it: {', '.join(apart)}" if apart else "none is shown to be apart from it"
        sentences.append(f"{metric} to {reference}: {'; '.join(parts)}; {end}.")
    return sentences


def findings(comparison: Comparison, of: str | None = None) -> list[str]:
    """What was found of every pair of runs, or of those with `of`, a sentence each; then distances."""
    sentences = []
    pairs = comparison.pairs
    if of is not None:
        pairs = pairs[(pairs["a"] == of) | (pairs["b"] == of)]
    for (a, b), group in pairs.groupby(["a", "b"], sort=False):
        by_verdict = {v: list(group.loc[group["verdict"] == v, "metric"]) for v in VERDICTS}
        parts = []
        for verdict, words in (
            ("better", "is better than {b} on {m}"),
            ("worse", "is worse than {b} on {m}"),
            ("differs", "differs from {b} on {m}"),
            ("no difference shown", "was not shown to differ from {b} on {m}"),
            ("cannot decide", "cannot be told from {b} on {m} (too little data)"),
            ("not comparable", "is not comparable with {b} on {m}"),
        ):
            if by_verdict[verdict]:
                parts.append(words.format(b=b, m=", ".join(by_verdict[verdict])))
        sentences.append(f"{a} " + "; ".join(parts) + ".")
    return sentences + distances(comparison)
