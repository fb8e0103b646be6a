"""Quality against time and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.records import ASPECTS, Aspect
from evals.report.figures.forest import base_of
from evals.report.figures.style import DIM, INK, MARKERS, SERIES, Plot, clean, label
from evals.report.matrix import against
from evals.report.numbers import number, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = {"seconds_per_video": "seconds per video", "cost_per_video": "cost per video"}


def plot(comparison: Comparison) -> Plot | None:
    """A panel per aspect, a row for each of time and cost that is known of at least two models."""
    base = base_of(comparison)
    if base is None:
        return None
    costs = {
        field: {r.run: float(v) for r in comparison.runs if (v := getattr(r, field)) is not None}
        for field in SIDES
    }
    fields = [field for field, known in costs.items() if len(known) > 1 and len(set(known.values())) > 1]
    gains: dict[Aspect, dict[str, float]] = {}
    for one in comparison.standings:
        for x in one.aspects:
            for run in comparison.labels:
                told = against(comparison, run, base, x.aspect) if run != base else None
                if told is not None and told[1] is not None:
                    gains.setdefault(x.aspect, {base: 0.0})[run] = told[1]
    if not fields or not gains:
        return None
    gains = {aspect: gains[aspect] for aspect in sorted(gains, key=ASPECTS.index)}
    front = {run.run for run in comparison.runs if run.on_front}

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D

        grid = figure.subplots(len(fields), len(gains), squeeze=False, sharex="row")
        for field, line in zip(fields, grid, strict=True):
            for axes, (aspect, mine) in zip(line, gains.items(), strict=True):
                clean(axes, "both")
                axes.axhline(0, color=DIM, linewidth=0.6)
                for k, run in enumerate(comparison.labels):
                    if run not in mine or run not in costs[field]:
                        continue
                    at, colour = (costs[field][run], mine[run]), SERIES[k % len(SERIES)]
                    axes.plot(*at, MARKERS[k % len(MARKERS)], color=colour, markersize=7)
                    if run in front:
                        axes.plot(*at, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK)
                axes.margins(0.25)
                axes.set_title(aspect)
                axes.set_xlabel(SIDES[field])
            line[0].set_ylabel("gain (sd)")
        handles: list[Line2D] = [
            Line2D(
                [],
                [],
                linestyle="",
                marker=MARKERS[k % len(MARKERS)],
                color=SERIES[k % len(SERIES)],
                label=label(run),
            )
            for k, run in enumerate(comparison.labels)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=min(5, len(handles)))

    table = [
        [run, *(number(costs[f].get(run), 3) for f in fields), *(signed(mine.get(run)) for mine in
        gains.values()), "yes" if run in front else "no" if front else "–"]
        for run in comparison.labels
    ]  # fmt: skip
    return Plot(
        "pareto", "Quality against time and cost" if len(fields) > 1 else "Quality against"
        " {SIDES[fields[0]]}",
        f"Up is better, left is cheaper; gains are against {base}. A ring marks a model that no other one"
        f" beats without"
        " costing more. Times are those of the machine that generated the videos.",
        (max(4.6, 1.2 + 1.75 * len(gains)), 0.7 + 2.1 * len(fields)), draw,
        ("model", *(SIDES[f] for f in fields), *gains, "on the front"), table,
    )  # fmt: skip
