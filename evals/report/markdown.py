"""The comparison as Markdown, for pull requests and terminals."""

from __future__ import annotations

from evals.compare import Comparison
from evals.report.tables import arrow, findings, interval, number


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


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
    if len(comparison.pairs):
        lines += ["## What was found", ""] + [f"- {s}" for s in findings(comparison)] + [""]
    lines += ["## Means", "", *_means(comparison), ""]
    lines += ["Mean over prompts, [95 % interval], n scored; f failed, r refused, s skipped, m missing.", ""]
    if len(comparison.sets):
        rows = [
            [s.metric, s.generator, s.reference, number(s.value), f"{s.n} / {s.n_reference}", s.protocol]
            for s in comparison.sets.itertuples()
        ]
        header = ["metric", "run", "reference", "value", "N / N reference", "protocol"]
        lines += ["## Distances to a reference", "", *_table(header, rows), ""]
    if len(comparison.pairs):
        rows = [
            [
                p.metric, p.a, p.b, number(p.difference), interval(p.ci_low, p.ci_high), number(p.p_holm, 2),
                p.verdict + (f" ({p.reason})" if p.reason else ""), str(p.n_pairs),
            ]
            for p in comparison.pairs.itertuples()
        ]  # fmt: skip
        header = ["metric", "a", "b", "a − b", "95 % interval", "p (Holm)", "a is", "pairs"]
        lines += ["## Paired differences", "", *_table(header, rows), ""]
    return "\n".join(lines)


def _means(comparison: Comparison) -> list[str]:
    summary = comparison.summary[comparison.summary["category"] == "all"]
    header = ["metric", *(r.label for r in comparison.runs)]
    rows = []
    for name, info in comparison.metrics.items():
        if info.kind != "video":
            continue
        row = [f"{name} {arrow(info)}".strip()]
        for run in comparison.runs:
            match = summary[(summary["metric"] == name) & (summary["generator"] == run.label)]
            row.append(" ".join(describe(next(match.itertuples()))) if len(match) else "–")
        rows.append(row)
    return _table(header, rows)


def describe(row: object) -> list[str]:
    """A summary row's mean, interval and counts as short texts; empty ones are left out."""
    get = lambda name: getattr(row, name)  # noqa: E731
    counts = [f"n={get('n_ok')}"] + [
        f"{get(f'n_{name}')}{name[0]}" for name in ("failed", "refused", "skipped", "missing") if get(f"n_{name}")
    ]
    return [x for x in (number(get("mean")), interval(get("ci_low"), get("ci_high")), f"({' '.join(counts)})") if x]
