"""The comparison as Markdown, for pull requests and terminals."""

from __future__ import annotations

from typing import Any

from evals.compare import Comparison
from evals.records import MetricInfo
from evals.report.tables import arrow, findings, interval, number, protocols, records, unmeasured


def _cell(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(_cell(h) for h in header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]


def render(comparison: Comparison) -> str:
    """The whole comparison in one document."""
    lines = ["# Comparison of " + ", ".join(r.label for r in comparison.runs), ""]
    lines += [f"Videos scored: {comparison.view}.", ""]
    if comparison.warnings:
        lines += ["## Before you read on", ""]
        lines += [f"- {w}" for w in comparison.warnings] + [""]
    if found := findings(comparison):
        lines += ["## What was found", ""] + [f"- {s}" for s in found] + [""]
    lines += ["## Means", "", *_means(comparison), ""]
    lines += ["Mean over prompts, [95 % interval], n scored; f failed, r refused, s skipped, m missing.", ""]
    if len(comparison.sets):
        rows = [
            [
                s["metric"], s["generator"], s["reference"],
                number(s["value"]) if s["value"] is not None else "out of domain",
                interval(s["ci_low"], s["ci_high"]),
                f"{s['n']} / {s['n_reference']}",
            ]
            for s in records(comparison.sets)
        ]  # fmt: skip
        header = ["metric", "run", "reference", "value", "95 % interval", "N / N reference"]
        lines += ["## Distances to a reference", "", *_table(header, rows), ""]
        lines += [f"- {line}" for line in protocols(comparison)] + [""]
    elif hint := unmeasured(comparison):
        lines += ["## Distances to a reference", "", hint, ""]
    if len(comparison.pairs):
        rows = [
            [
                p["metric"], p["a"], p["b"], number(p["difference"]), interval(p["ci_low"], p["ci_high"]),
                number(p["p_holm"], 2), p["verdict"] + (f" ({p['reason']})" if p["reason"] else ""),
                str(p["n_pairs"]),
            ]
            for p in records(comparison.pairs)
        ]  # fmt: skip
        header = ["metric", "a", "b", "a − b", "95 % interval", "p (Holm)", "a is", "pairs"]
        lines += ["## Paired differences", "", *_table(header, rows), ""]
    return "\n".join(lines)


def _means(comparison: Comparison) -> list[str]:
    rows = [
        [f"{info.id} {arrow(info)}".strip(), *(" ".join(cell) for cell in cells)]
        for info, cells in means(comparison, "all")
    ]
    return _table(["metric", *(r.label for r in comparison.runs)], rows)


def means(comparison: Comparison, category: str) -> list[tuple[MetricInfo, list[list[str]]]]:
    """For every metric, each run's mean, interval and counts as short texts."""
    rows = {
        (r["metric"], r["generator"]): r for r in records(comparison.summary) if r["category"] == category
    }
    return [
        (info, [_describe(rows.get((name, run.label))) for run in comparison.runs])
        for name, info in comparison.metrics.items()
        if info.kind == "video"
    ]


def _describe(row: dict[str, Any] | None) -> list[str]:
    if row is None:
        return ["–"]
    counts = [f"n={row['n_ok']}"]
    for name in ("failed", "refused", "skipped", "missing"):
        if row[f"n_{name}"]:
            counts.append(f"{row[f'n_{name}']}{name[0]}")
    texts = [number(row["mean"]), interval(row["ci_low"], row["ci_high"]), f"({' '.join(counts)})"]
    return [text for text in texts if text]
