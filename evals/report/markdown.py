"""The comparison as Markdown, for pull requests and terminals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evals.compare import Comparison
from evals.compare.results import Pair
from evals.report import judging
from evals.report.matrix import matrices
from evals.report.numbers import interval, number, percent
from evals.report.remedies import advice
from evals.report.tables import (
    arrow,
    cells,
    not_measured,
    pair_rows,
    protocols,
    unmeasured,
    value_or_reason,
)
from evals.report.terminal import short_names
from evals.report.words import answer, best_by_aspect, distances, sentences

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
    """The comparison in one document: answer, aspects, differences, details."""
    lines = ["# Comparison of " + escaped(", ".join(comparison.labels)), ""]
    if said := answer(comparison):
        lines += [f"**{escaped(said)}**", ""]
    if best := best_by_aspect(comparison):
        lines += [escaped(best), ""]
    if found := sentences(comparison) + distances(comparison):
        lines += [f"- {escaped(s)}" for s in found] + [""]
    lines += _aspects(comparison)
    if comparison.warnings:
        lines += _folded(_count(len(comparison.warnings), "warning"), _warnings(comparison))
    if judges := judging.sentences(comparison):
        lines += ["## Judges", "", *(f"- {escaped(line)}" for line in judges), ""]
    lines += _differences(comparison)
    lines += ["## Details", "", f"Videos scored: {comparison.normalization}.", ""]
    note = "Mean over prompts, [95 % interval], n scored; f failed, r refused, s skipped, m missing."
    lines += _folded("Means", [*_means(comparison), "", note])
    for one in judging.kinds(comparison):
        parts = [[part, *cells] for part, cells in one.lines]
        lines += _folded(f"{escaped(one.metric)} by part", _table(["part", *comparison.labels], parts))
    lines += _distributions(comparison)
    if comparison.pairs:
        lines += _folded("All paired differences", _pairs(comparison.pairs))
    return "\n".join(lines)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines under a title that a click opens; open where nothing can fold."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _aspects(comparison: Comparison) -> list[str]:
    """The first matrix: a row per model, a column per aspect."""
    matrix = matrices(comparison)[0]
    if not matrix.aspects:
        return []
    rows, names = [], short_names(list(comparison.metrics))
    for line in matrix.lines:
        cells = []
        for cell in line.cells:
            gain = f" ({cell.gain:+.2f} sd)".replace("-", "−") if cell.gain is not None else ""
            metric = f"{names.get(cell.metric, cell.metric)} {cell.arrow}".strip()
            text = " ".join(filter(None, (cell.value, metric)))
            text += f": {cell.verdict}{gain}" if cell.verdict else ""
            cells.append(text)
        rows.append([line.run + (" (baseline)" if line.run == matrix.baseline else ""), *cells, line.videos])
    lines = ["## Aspects", "", *_table(["model", *matrix.aspects, "videos"], rows), ""]
    if matrix.baseline is not None:
        against = f"Verdicts are against {matrix.baseline}; sd: standard deviations between prompts."
        lines += [escaped(against), ""]
    if missing := not_measured(comparison):
        lines += [escaped(f"Not measured: {'; '.join(missing)}."), ""]
    return lines


def _warnings(comparison: Comparison) -> list[str]:
    lines = []
    for one in advice(comparison):
        lines += [f"- {escaped(text)}" + (f" ({n} times)" if n > 1 else "") for text, n in one.messages]
        lines.append(f"  What to do: {escaped(one.remedy)}")
    return lines


def _differences(comparison: Comparison) -> list[str]:
    """The pairs that were decided; the others are under the details."""
    decided = [p for p in pair_rows(comparison) if p.verdict in ("better", "worse", "trade-off")]
    if not comparison.pairs:
        return []
    if not decided:
        return ["## Differences", "", "None is shown.", ""]
    rows = [
        [p.metric, p.a, p.verdict or "", p.b, number(p.difference, 3), percent(p.relative),
         interval(p.joint_low, p.joint_high, 3), number(p.p_holm, 2)]
        for p in decided
    ]  # fmt: skip
    header = ["metric", "a", "is", "b", "a − b", "%", "joint interval", "p (Holm)"]
    return ["## Differences", "", *_table(header, rows), ""]


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
        notes = [f"- {escaped(line)}" for line in protocols(comparison)]
        return _folded("Distances to a reference", [*_table(header, rows), "", *notes])
    hint = unmeasured(comparison)
    return [escaped(hint), ""] if hint else []


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    rows = [
        [p.metric, p.a, p.b, number(p.difference), percent(p.relative), interval(p.ci_low, p.ci_high),
         interval(p.joint_low, p.joint_high), number(p.p_holm, 2),
         (p.verdict or "diagnostic") + (f" ({p.message})" if p.message else ""), str(p.n_pairs)]
        for p in pairs
    ]  # fmt: skip
    header = [
        "metric", "a", "b", "a − b", "%", "95 % interval", "joint interval", "p (Holm)", "a is", "pairs",
    ]  # fmt: skip
    return [*_table(header, rows), "", JOINT]
