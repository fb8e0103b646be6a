"""A history as text, CSV, figures and a page."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from rich.console import Console
from rich.table import Table

from evals.gate.history import Change, History, Holder
from evals.report.figures.style import BLUE, GREY, ORANGE, Plot, clean, save
from evals.report.numbers import number
from evals.report.terminal import short_names
from evals.runs.journal import write_atomically
from evals.runs.secrets import redacted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _printed(*parts: Table | str) -> str:
    out = io.StringIO()
    console = Console(file=out, width=110, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str), markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def answer(found: History) -> str:
    """One sentence: how the runs stand against the first."""
    checked = len(found.points) - 1
    if not checked:
        return "one run only: there is nothing to compare it with"
    alarms = found.alarms
    if not alarms:
        counts = {v: sum(p.verdict == v for p in found.points) for v in ("pass", "inconclusive")}
        others = checked - sum(counts.values())
        said = [f"{n} {v}" for v, n in (*counts.items(), ("not comparable", others)) if n]
        return f"{checked} runs after {found.points[0].run}: none is shown to be worse ({', '.join(said)})"
    first = alarms[0]
    verb = "is" if len(alarms) == 1 else "are"
    return (
        f"{len(alarms)} of {checked} runs {verb} worse than {found.points[0].run}, first {first.run}"
        f" ({first.when[:10]}) on {', '.join(first.worse)}"
    )


def change_said(change: Change) -> str:
    """A change of level in words."""
    way = "worse" if change.worse else "better"
    return (
        f"{change.metric} changes with {change.run}: {number(change.before, 3)} → {number(change.after, 3)}"
        f" ({way})"
    )


def changes_said(found: History) -> list[str]:
    """The largest change of every metric, and how many smaller ones there are."""
    lines = []
    for metric in dict.fromkeys(one.metric for one in found.changes):
        mine = sorted(
            (c for c in found.changes if c.metric == metric), key=lambda c: -abs(c.after - c.before)
        )
        rest = f", and {len(mine) - 1} smaller" if len(mine) > 1 else ""
        lines.append(change_said(mine[0]) + rest)
    return lines


def reasons_said(found: History) -> list[str]:
    """Why runs were not decided, each reason once."""
    runs: dict[str, list[str]] = {}
    for point in found.points:
        if point.why:
            runs.setdefault(point.why, []).append(point.run)
    return [f"{', '.join(names)}: {why}" for why, names in runs.items()]


def text(found: History) -> str:
    """The answer, a line a run, and changes of level."""
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("run", "made", "level", "verdict", "worse on"):
        grid.add_column(name, overflow="fold")
    for point in found.points:
        grid.add_row(
            point.run, point.when[:16].replace("T", " "), number(point.level, 2) if point.level else "",
            point.verdict or "baseline", ", ".join(point.worse),
        )  # fmt: skip
    lines = [*reasons_said(found), *changes_said(found)]
    lines += [f"accepted on {shift.when[:10]}: {shift.because}" for shift in found.shifts]
    return _printed(answer(found), grid, *lines)


def board(holders: Sequence[Holder]) -> str:
    """Who is the best at what, and since when."""
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("aspect", "best", "since", "over", "not shown to differ"):
        grid.add_column(name, overflow="fold")
    last = ""
    for one in holders:
        shown = one.aspect if one.aspect != last else ""
        last = one.aspect
        grid.add_row(shown, one.run, one.since[:10], one.over, ", ".join(one.alike))
    return _printed(grid)


def write(found: History, out: Path) -> Path:
    """history.json, history.csv, a figure for every metric as SVG and PDF, and a page; gives the page."""
    out.mkdir(parents=True, exist_ok=True)
    data = json.dumps(redacted(found.to_json()), ensure_ascii=False, indent=1)
    write_atomically(out / "history.json", data.encode())
    write_atomically(out / "history.csv", found.table().to_csv(index=False).encode())
    plots = [_plot(found, name) for name in dict.fromkeys(v.metric for v in found.values)]
    for plot in plots:
        save(plot, out)
    page = _template().render(
        answer=answer(found), points=found.points, figures=plots,
        changes=[*reasons_said(found), *changes_said(found)], shifts=found.shifts, number=number,
    )  # fmt: skip
    write_atomically(out / "history.html", page.encode())
    return out / "history.html"


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("evals.report", "")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("history.html.j2")


def _plot(found: History, metric: str) -> Plot:
    """The mean of a metric over runs."""
    stem = re.sub(r"[^a-zA-Z0-9_.-]+", "-", metric).strip("-")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw(axes, found, metric)

    rows = [
        [v.run, number(v.mean), number(v.low), number(v.high)] for v in found.values if v.metric == metric
    ]
    return Plot(
        stem, metric,
        "Mean over prompts with its 95 % interval. Dotted: the margin around the first run. Vertical line:"
        " the level changes; dashed: an accepted change. Cross: worse than the first run.",
        (7.2, 2.4), draw, ("run", "mean", "from", "to"), rows,
    )  # fmt: skip


def _draw(axes: Axes, found: History, metric: str) -> None:
    values = [v for v in found.values if v.metric == metric]
    places = {point.run: i for i, point in enumerate(found.points)}
    known = [(places[v.run], v) for v in values if v.mean is not None]
    for place, value in known:
        if value.low is not None and value.high is not None:
            axes.plot([place, place], [value.low, value.high], color=BLUE, linewidth=1.5, alpha=0.6)
    axes.plot([p for p, _ in known], [float(v.mean or 0) for _, v in known], "o-", color=BLUE, markersize=4)
    if known and metric in found.margins and known[0][1].mean is not None:
        info = known[0][1]
        for sign in (-1, 1):
            axes.axhline(float(info.mean or 0) + sign * found.margins[metric], color=GREY, linestyle=":")
    for change in found.changes:
        if change.metric == metric:
            axes.axvline(places[change.run] - 0.5, color=ORANGE, linewidth=1.2)
    for shift in found.shifts:  # accepted before the first run that was made later
        after = [i for i, point in enumerate(found.points) if point.when > shift.when]
        axes.axvline((after[0] if after else len(found.points)) - 0.5, color=GREY, linestyle="--")
    alarmed = {point.run for point in found.alarms if metric in point.worse}
    worse = [(p, float(v.mean or 0)) for p, v in known if v.run in alarmed]
    if worse:
        axes.plot([p for p, _ in worse], [m for _, m in worse], "X", color=ORANGE, markersize=9)
    clean(axes, "y")
    names = [point.run for point in found.points]
    step = max(1, len(names) // 12)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=30, ha="right")
    axes.set_title(short_names([metric])[metric], loc="left", fontsize=10)
