"""A comparison for a terminal: the table of values, a sentence per run, the warnings. Fits 80 columns."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.compare.results import Comparison, Mean, Pair
from evals.records import ALL, ASPECTS, Aspect, MetricInfo
from evals.report import judging
from evals.report.numbers import interval, number, percent
from evals.report.words import answer, best_by_aspect, distances, sentences, verdict_of

STYLES = {"better": "green", "worse": "red"}
NARROWEST, WIDEST = 9, 22
PIPED = 80
SHORT = {"inconclusive": "open", "not comparable": "not comp."}


@dataclass(frozen=True)
class _Row:
    info: MetricInfo
    means: list[Mean | None]


def render(comparison: Comparison, width: int | None = None, colour: bool = False) -> str:
    """The whole result as text: table, answer, sentences. Warnings are `warnings` below."""
    parts = [table(comparison, width, colour).rstrip()]
    said = [answer(comparison), best_by_aspect(comparison), *sentences(comparison), *distances(comparison)]
    if any(said):
        parts.append("\n".join(line for line in said if line))
    return "\n\n".join(part for part in parts if part)


def table(comparison: Comparison, width: int | None = None, colour: bool = False) -> str:
    """Values by aspect and run. `*` marks what is better than some other run and worse than none."""
    width = width or PIPED
    rows = _rows(comparison)
    if not rows:
        return ""
    names = short_names([row.info.id for row in rows])
    first = min(max(len(text) for text in names.values()) + 4, 30)
    labels = comparison.labels
    most = max(1, (width - first) // (NARROWEST + 2))
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, highlight=False,
        color_system="standard" if colour else None,
    )  # fmt: skip
    for start in range(0, len(labels), most):
        console.print(_block(comparison, rows, names, labels[start : start + most], first, width))
        if start + most < len(labels):
            console.print()
    console.print(Text(_legend(comparison, rows), style="dim"), soft_wrap=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines)


MARKS = {"right": "✓", "wrong": "✗", "open": "·"}


def controls_table(comparison: Comparison, width: int | None = None, colour: bool = False) -> str:
    """Which metrics rank videos that are worse by construction below the clips they were made of."""
    if not comparison.controls:
        return ""
    names = list(dict.fromkeys(one.control for one in comparison.controls))
    found = {(one.metric, one.control): one.outcome for one in comparison.controls}
    infos = [info for info in comparison.metrics.values() if any((info.id, n) in found for n in names)]
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    grid.add_column("controls")
    for name in names:
        grid.add_column(Text(name), justify="center")
    shown = short_names([info.id for info in infos])
    for info in sorted(infos, key=lambda info: ASPECTS.index(info.aspect)):
        marks = [MARKS.get(found.get((info.id, name), "open"), "") for name in names]
        styles = {"✓": "green", "✗": "red"}
        grid.add_row(shown[info.id], *(Text(mark, style=styles.get(mark, "dim")) for mark in marks))
    out = io.StringIO()
    Console(
        file=out, width=width or PIPED, force_terminal=colour, highlight=False,
        color_system="standard" if colour else None,
    ).print(grid)  # fmt: skip
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    legend = "✓ ranks the control below the clips it was made of, ✗ above, · no difference shown (5 %)."
    return "\n".join([*lines, legend])


def _rows(comparison: Comparison) -> list[_Row]:
    """Metrics that some run has a value of, by aspect, primary ones first."""
    found = {(m.metric, m.run): m for m in comparison.means if m.category == ALL}
    rows = []
    for info in comparison.metrics.values():
        means = [found.get((info.id, label)) for label in comparison.labels]
        if any(mean is not None and mean.mean is not None for mean in means):
            rows.append(_Row(info, means))
    return sorted(rows, key=lambda row: (ASPECTS.index(row.info.aspect), row.info.role != "primary"))


def short_names(ids: Sequence[str]) -> dict[str, str]:
    """Metric ids without their extractor where that is no ambiguity; the legend names it."""
    bases = [one.partition("[")[0] for one in ids]
    return {
        one: _plain(base if bases.count(base) == 1 else one) for one, base in zip(ids, bases, strict=True)
    }


def _plain(text: str) -> str:
    """A name without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _block(
    comparison: Comparison, rows: Sequence[_Row], names: dict[str, str], labels: Sequence[str], first: int,
    width: int,
) -> Table:  # fmt: skip
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    grid.add_column("", width=first, overflow="fold", no_wrap=False)
    single = len(comparison.labels) == 1
    two = len(comparison.labels) == 2 and comparison.baseline is None
    room = (width - first) // (len(labels) + 2 * single + (2 if two else 0)) - 1
    for label in labels:
        wide = min(room, WIDEST)
        lines = textwrap.wrap(_plain(label), wide) or [""]  # at hyphens, too
        grid.add_column(Text("\n".join(lines)), justify="right", max_width=wide, overflow="fold")
    if single:
        grid.add_column("95 % interval", justify="right", no_wrap=True)
        grid.add_column("n", justify="right", no_wrap=True)
    if two:
        grid.add_column(Text(_plain(f"{labels[0]} against {labels[1]}")), overflow="fold")
    pairs = {(p.metric, frozenset((p.a, p.b))): p for p in comparison.pairs}
    shown: Aspect | None = None
    for row in rows:
        if row.info.aspect != shown:
            shown = row.info.aspect
            grid.add_row(Text(shown, style="bold"))
        dim = row.info.role != "primary"
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[row.info.direction]
        name = Text(f"  {names[row.info.id]}{arrow}", style="dim" if dim else "")
        cells: list[Text | str] = [name]
        for label in labels:
            cells.append(_cell(comparison, row, label, pairs, dim))
        if single and (mean := row.means[0]) is not None:
            cells += [interval(mean.ci_low, mean.ci_high, 3), str(mean.n_ok)]
        if two:
            pair = pairs.get((row.info.id, frozenset(labels)))
            cells.append(_verdict(pair, pair.a) if pair else Text(""))
        grid.add_row(*cells)
    return grid


def _cell(
    comparison: Comparison,
    row: _Row,
    label: str,
    pairs: dict[tuple[str, frozenset[str]], Pair],
    dim: bool,
) -> Text:
    mean = row.means[comparison.labels.index(label)]
    if mean is None or mean.mean is None:
        return Text("–", style="dim")
    mine = [p for (metric, sides), p in pairs.items() if metric == row.info.id and label in sides]
    verdicts = [verdict_of(p, label) for p in mine]
    best = "better" in verdicts and "worse" not in verdicts
    text = Text(number(mean.mean, 3) + ("*" if best else " "), style="bold" if best else "dim" if dim else "")
    base = comparison.baseline
    if base is not None and label != base:
        pair = pairs.get((row.info.id, frozenset((label, base))))
        if pair is not None:
            text.append("\n")
            text.append_text(_verdict(pair, label))
    return text


def _verdict(pair: Pair, of: str) -> Text:
    """The difference in per cent and the verdict, such as `+12 % better`."""
    relative = pair.relative if pair.a == of else None
    word = verdict_of(pair, of) or ""
    text = Text(percent(relative), style="dim" if not pair.verdict else "")
    if word:
        shown = SHORT.get(word, word)
        shown += " (small)" if word in STYLES and pair.within_margin else ""
        text.append(f" {shown}" if text.plain else shown, style=STYLES.get(word, "dim"))
    return text


def _legend(comparison: Comparison, rows: Sequence[_Row]) -> str:
    """What marks mean and which extractors the ids stand for."""
    lines = []
    if len(comparison.labels) > 1:
        line = (
            "* better than some other run, worse than none (Holm, 5 %). Dim: diagnostics, without a verdict."
        )
        if comparison.baseline or len(comparison.labels) == 2:
            line += " open: inconclusive. (small): within the margin."
        lines.append(line)
    on: dict[str, list[str]] = {}
    for row in rows:
        base, _, rest = row.info.id.partition("[")
        if rest:
            on.setdefault(rest.rstrip("]"), []).append(base)
    lines += [f"On {_plain(name)}: {', '.join(dict.fromkeys(bases))}." for name, bases in on.items()]
    lines += [_plain(line) for line in judging.sentences(comparison)]
    return "\n".join(lines)


def warnings(comparison: Comparison) -> list[str]:
    """Every warning once; those that several runs or metrics share in the same words are counted."""
    counted: dict[str, int] = {}
    for warning in comparison.warnings:
        counted[warning.message] = counted.get(warning.message, 0) + 1
    return [text + (f" ({count} times)" if count > 1 else "") for text, count in counted.items()]
