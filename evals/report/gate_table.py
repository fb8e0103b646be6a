"""A gate's result for a terminal: one verdict, then the table, in plain words. Fits 80 columns."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.gate.records import PASSING, FidelityRow, GateResult, QualityRow, Tail
from evals.report.numbers import number
from evals.report.terminal import short_names

STYLES = {"pass": "green", "regression": "red", "inconclusive": "yellow", "not comparable": "yellow"}
PIPED = 80


def render(result: GateResult, width: int | None = None, colour: bool = False) -> str:
    """The whole result."""
    out = io.StringIO()
    console = Console(
        file=out, width=width or PIPED, force_terminal=colour, highlight=False,
        color_system="standard" if colour else None,
    )  # fmt: skip
    console.print(Text(headline(result), style=f"bold {STYLES[result.verdict]}"))
    for line in said(result):
        console.print(Text(line))
    if result.rows:
        console.print(_quality(result))
        console.print(Text(legend(result), style="dim"))
    if result.pairs:
        console.print(_fidelity(result))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def headline(result: GateResult) -> str:
    """One line: the verdict, of what, against what."""
    return f"{result.verdict.upper()}: {result.candidate} against {result.baseline}"


def said(result: GateResult) -> list[str]:
    """The reasons of the verdict, most important first, then what a reader must know."""
    lines = [*_regressions(result), *tail_said(result.tail)]
    lines += [f"Blocked: {why}." for why in result.blocked]
    opened = [row for row in result.rows if row.outcome not in PASSING and row.outcome != "worse"]
    if opened:
        lines.append(f"Not decided: {_why_open(opened)}.")
    within = [row.metric for row in result.rows if row.outcome == "worse within the margin"]
    if within:
        lines.append(f"Worse, but within the margin: {', '.join(within)}.")
    if result.verdict == "pass":
        lines.insert(0, _passed(result))
    if result.fidelity == "regression" and result.quality == "pass":
        lines.append(
            "The videos differ from the baseline's and are no worse. If the change is meant, accept it:"
            " t2v-evals gate accept."
        )
    if result.samples_ok < result.samples:
        lines.append(f"{result.samples - result.samples_ok} of {result.samples} samples have no video.")
    lines += [f"Note: {note}." for note in result.notes]
    lines += [f"Accepted on {s.when[:10]}: {s.because} ({s.run})." for s in result.shifts]
    return lines


def _passed(result: GateResult) -> str:
    parts = []
    if "quality" in result.required:
        parts.append(f"None of {len(result.rows)} metrics is worse by its margin or more.")
    if "fidelity" in result.required:
        parts.append("The videos are as alike as those of repeats.")
    return " ".join(parts)


def _regressions(result: GateResult) -> list[str]:
    lines = []
    for row in result.rows:
        if row.outcome == "worse":
            margin = f", beyond the margin of {number(row.margin, 3)}" if row.margin else ""
            lines.append(
                f"Worse on {row.metric}: {number(row.baseline, 3)} → {number(row.candidate, 3)}{margin}"
                f" (p = {number(row.p_worse, 2)})."
            )
    for pair in result.pairs:
        if pair.outcome == "drifted":
            lines.append(
                f"Videos differ by {pair.metric}: {pair.beyond} of {pair.n_prompts} prompts beyond"
                f" {number(pair.threshold, 4)}, repeats explain {pair.allowed}"
                + (f"; {pair.message}." if pair.message else ".")
            )
    return lines


def tail_said(tail: Tail) -> list[str]:
    """What is to be said of single prompts that broke."""
    if tail.outcome in ("few", "many") and tail.is_rare:
        named = ", ".join(tail.prompts[:5]) + (" …" if tail.count > 5 else "")
        by = ", ".join(dict.fromkeys(tail.metrics))
        return [
            f"Single prompts broke: {tail.count} of {tail.n_prompts} drop further than any repeat did"
            f" (p = {number(tail.p, 2)}): {named}, on {by}."
        ]
    return [f"Note: {tail.message}."] if tail.message else []


def _why_open(rows: list[QualityRow]) -> str:
    """Metrics that decide nothing, grouped by why."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.message or row.outcome, []).append(row.metric)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())


def _quality(result: GateResult) -> Table:
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    grid.add_column("quality", overflow="fold")
    for name in ("baseline", "candidate", "bound", "margin"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    rows = (*result.rows, *result.diagnostics)
    names = short_names([row.metric for row in rows])
    for row in rows:
        dim = row not in result.rows
        style = "dim" if dim else ""
        word = "" if dim else row.outcome
        tint = "green" if row.outcome in PASSING else "red" if row.outcome == "worse" else "yellow"
        values = (row.baseline, row.candidate, row.bound, row.margin)
        shown = [Text(number(value, 3) if value is not None else "", style=style) for value in values]
        grid.add_row(Text(names[row.metric], style=style), *shown, Text(word, style=tint))
    return grid


def legend(result: GateResult) -> str:
    """What the columns mean."""
    return (
        f"bound: candidate − baseline is no worse than this (one-sided, {number(result.level, 2)}). The gate"
        " passes where every bound is within its margin. Rows without a word are diagnostics."
    )


def _fidelity(result: GateResult) -> Table:
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    grid.add_column("fidelity")
    for name in ("median", "worst", "threshold", "beyond", "identical"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("")
    for row in result.pairs:
        tint = {"same": "green", "drifted": "red", "inconclusive": "yellow", "shown only": "dim"}[row.outcome]
        grid.add_row(row.metric, *cells(row), Text(row.outcome, style=tint))
    return grid


def cells(row: FidelityRow) -> list[str]:
    """A fidelity row's numbers for people."""
    decided = row.threshold is not None
    return [
        number(row.median, 4), number(row.worst, 4), number(row.threshold, 4) if decided else "",
        f"{row.beyond} of {row.n_prompts}" if decided else "", f"{row.identical} of {row.n_pairs}",
    ]  # fmt: skip
