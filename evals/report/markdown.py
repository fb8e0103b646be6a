"""The comparison as Markdown, for pull requests and terminals."""

from __future__ import annotations

import re

from evals.compare import Comparison
from evals.report.numbers import interval, number, percent
from evals.report.tables import arrow, cells, protocols, unmeasured, value_or_reason
from evals.report.words import answer, distances, sentences

JOINT = (
    "The 95 % interval is of the metric alone. The joint interval is at the level at which the family decided"
    " (Holm; 1 − 0.05/m for m metrics before any is rejected), and agrees with the verdict."
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;"}
_MARKUP = re.compile(
    r"[&<>@#]|[\\`*|~]|^\[(?=[ xX]\])|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|(?<=:)//|(?<=www)\."
    r"|[\x00-\x1f\x7f-\x9f]"
)


def escaped(text: str) -> str:
    """A text that is no markup: no link, mention, picture, heading or tag comes of it."""

    def plain(found: re.Match[str]) -> str:
        one = found[0]
        if one in _ENTITIES:
            return _ENTITIES[one]
        if one == "//":
            return "&#47;/"
        if one == ".":
            return "&#46;"
        return " " if ord(one) < 32 or 127 <= ord(one) < 160 else f"\\{one}"

    return _MARKUP.sub(plain, text)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(escaped(h) for h in header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(escaped(c) for c in row) + " |" for row in rows]


def render(comparison: Comparison) -> str:
    """The whole comparison in one document."""
    lines = ["# Comparison of " + escaped(", ".join(comparison.labels)), ""]
    lines += [f"Videos scored: {comparison.normalization}.", ""]
    if said := answer(comparison):
        lines += [f"**{escaped(said)}**", ""]
    if found := sentences(comparison) + distances(comparison):
        lines += [f"- {escaped(s)}" for s in found] + [""]
    if comparison.warnings:
        lines += ["## Before you read on", ""]
        lines += [f"- {escaped(warning.message)}" for warning in comparison.warnings] + [""]
    lines += ["## Means", "", *_means(comparison), ""]
    lines += ["Mean over prompts, [95 % interval], n scored; f failed, r refused, s skipped, m missing.", ""]
    lines += _distributions(comparison)
    if comparison.pairs:
        lines += ["## Paired differences", "", *_pairs(comparison), ""]
    return "\n".join(lines)


def _means(comparison: Comparison) -> list[str]:
    rows = [
        [f"{info.id} {arrow(info)}".strip(), *(" ".join(cell) for cell in row)]
        for info, row in cells(comparison)
    ]
    return _table(["metric", *comparison.labels], rows)


def _distributions(comparison: Comparison) -> list[str]:
    if comparison.distributions:
        rows = [
            [d.metric, d.run, d.reference, value_or_reason(d), interval(d.ci_low, d.ci_high),
             f"{d.n} / {d.n_reference}"]
            for d in comparison.distributions
        ]  # fmt: skip
        header = ["metric", "run", "reference", "value", "95 % interval", "N / N reference"]
        lines = ["## Distances to a reference", "", *_table(header, rows), ""]
        return lines + [f"- {escaped(line)}" for line in protocols(comparison)] + [""]
    hint = unmeasured(comparison)
    return ["## Distances to a reference", "", escaped(hint), ""] if hint else []


def _pairs(comparison: Comparison) -> list[str]:
    rows = [
        [p.metric, p.a, p.b, number(p.difference), percent(p.relative), interval(p.ci_low, p.ci_high),
         interval(p.joint_low, p.joint_high), number(p.p_holm, 2),
         (p.verdict or "diagnostic") + (f" ({p.message})" if p.message else ""), str(p.n_pairs)]
        for p in comparison.pairs
    ]  # fmt: skip
    header = [
        "metric",
        "a",
        "b",
        "a − b",
        "%",
        "95 % interval",
        "joint interval",
        "p (Holm)",
        "a is",
        "pairs",
    ]
    return [*_table(header, rows), "", JOINT]
