"""Votes and labels for a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.ratings.labels import LabelledMetric
from evals.ratings.results import PairPreference, Preferences
from evals.report.numbers import interval, number

ALPHA = 0.05
SHOWN_METRICS = 12


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{100 * low:.0f}, {100 * high:.0f}]"


def answer(found: Preferences) -> str:
    """Who is preferred, in one sentence."""
    who = found.by if found.by == "people" else f"the judge {found.by}"
    if found.doubt:
        return f"No verdicts from {who}: {found.doubt}."
    left_out = sum(one.votes for one in found.raters if not one.kept)
    if not found.n_votes and left_out:
        return f"{left_out} votes, all of raters who failed the checks; --keep-all counts them."
    if not found.n_votes:
        return f"No votes of {who} yet."
    said = [_said(pair) for pair in found.pairs if pair.p_holm <= ALPHA]
    if not said:
        return f"No preference shown: {found.n_votes} votes of {who} on {found.n_prompts} prompts."
    return f"Preferred by {who} ({found.aspect}): {'; '.join(said)}."


def _said(pair: PairPreference) -> str:
    ahead, behind, value = (pair.a, pair.b, pair.preferred)
    if value < 0.5:
        ahead, behind, value = pair.b, pair.a, 1 - value
    return f"{ahead} to {behind} ({_percent(value)} of votes, ties half)"


def render(found: Preferences, width: int, colour: bool = False) -> str:
    """Tables and the answer."""
    parts = [_plain(answer(found))]
    if found.models:
        over = "prompts and raters" if found.over_raters else "prompts"
        parts.append(_table(
            ["model", "preferred to another", f"95 % (over {over})", "wins", "ties", "losses"],
            [[m.run, _percent(m.preferred), _bounds(m.ci_low, m.ci_high), str(m.wins), str(m.ties),
              str(m.losses)] for m in found.models], width, colour,
        ))  # fmt: skip
    if found.pairs:
        parts.append(_table(
            ["a", "b", "prefer a", "95 %", "p (Holm)", "wins a/ties/b", "prompts", "could show"],
            [[p.a, p.b, _percent(p.preferred), _bounds(p.ci_low, p.ci_high), number(p.p_holm, 2),
              f"{p.wins}/{p.ties}/{p.losses}", str(p.n_prompts), f"≥ {_percent(p.smallest)}"]
             for p in found.pairs], width, colour,
        ))  # fmt: skip
        parts.append(
            "Ties count half. p and its interval are by sign flips over prompts. “Could show”: the smallest"
            " share of decisive votes that so many independent ones tell from a half, four times in five."
        )
    parts.append(_raters(found, width, colour))
    if found.agreement:
        rows = [
            [one.metric, _percent(one.agreement), _bounds(one.ci_low, one.ci_high), str(one.n)]
            for one in found.agreement
        ]
        more = len(rows) - SHOWN_METRICS
        parts.append(
            _table(
                ["prefers what people prefer", "agrees", "95 %", "votes"], rows[:SHOWN_METRICS], width, colour
            )
        )
        if more > 0:
            parts.append(f"{more} more metrics: --json")
    return "\n\n".join(part for part in parts if part)


def _raters(found: Preferences, width: int, colour: bool) -> str:
    """Raters and their checks; of a judge, how many pairs it decided alike in both orders."""
    if found.by != "people":
        return "\n".join(
            f"{one.votes - one.inconsistent} of {one.votes} pairs decided alike in both orders"
            for one in found.raters
        )
    rows = []
    for one in found.raters:
        left = _percent(one.left_share)
        checks = f"{one.checks_passed} of {one.checks}" if one.checks else ""
        repeats = f"{one.repeats_alike} of {one.repeats}" if one.repeats else ""
        note = "" if one.kept else "left out"
        rows.append([one.rater, str(one.votes), checks, repeats, left, note])
    header = ["rater", "votes", "checks passed", "repeats alike", "left", ""]
    return _table(header, rows, width, colour) if rows else ""


def labels_table(found: Sequence[LabelledMetric], width: int, colour: bool = False) -> str:
    """Judge beside people, corrected."""
    rows = []
    for one in found:
        c = one.corrected
        rows.append([
            one.metric.partition("[")[0], number(one.judge, 3), number(one.people, 3),
            number(c.mean, 3) if c else "–", interval(c.low, c.high, 3) if c else "",
            f"{one.labelled} of {one.prompts}",
            f"{one.kappa.value:.2f} {_kappa_bounds(one)}".strip() if one.kappa else "–",
        ])  # fmt: skip
    header = ["metric", "judge", "people", "corrected", "95 %", "labelled", "kappa"]
    lines = [_table(header, rows, width, colour)]
    lines += [f"{one.metric.partition('[')[0]}: {one.why_none}." for one in found if one.why_none]
    lines.append(
        "Judge: its mean over all prompts. People: over the labelled ones. Corrected: what people would say"
        " of all, by prediction-powered inference. Kappa: agreement beyond chance, 1 is perfect."
    )
    return "\n".join(lines)


def _kappa_bounds(one: LabelledMetric) -> str:
    k = one.kappa
    return "" if k is None or k.low is None or k.high is None else f"[{k.low:.2f}, {k.high:.2f}]"


def _plain(text: str) -> str:
    """A name without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, colour: bool) -> str:
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for i, name in enumerate(header):
        grid.add_column(Text(name), justify="left" if not i else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_plain(cell)) for cell in row))
    out = io.StringIO()
    Console(
        file=out, width=width, force_terminal=colour, highlight=False,
        color_system="standard" if colour else None,
    ).print(grid)  # fmt: skip
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
