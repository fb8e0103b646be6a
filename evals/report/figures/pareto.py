"""Quality against time and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.records import ASPECTS, Aspect
from evals.report.figures.style import DIM, INK, Plot, clean, colour_of, legend, marker_of
from evals.report.matrix import against, base_of
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
    for aspect in ASPECTS:
        for run in comparison.labels:
            one = against(comparison, run, base, aspect) if run != base else None
            if one is not None and one.gain is not None:
                gains.setdefault(aspect, {base: 0.0})[run] = one.gain
    if not fields or not gains:
        return None
    front = {run.run for run in comparison.runs if run.on_front}

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(fields), len(gains), squeeze=False, sharex="row")
        for field, line in zip(fields, grid, strict=True):
            for axes, (aspect, mine) in zip(line, gains.items(), strict=True):
                clean(axes, "both")
                axes.axhline(0, color=DIM, linewidth=0.6)
                for k, run in enumerate(comparison.labels):
                    if run not in mine or run not in costs[field]:
                        continue
                    at, colour = (costs[field][run], mine[run]), colour_of(k)
                    axes.plot(*at, marker_of(k), color=colour, markersize=7)
                    if run in front:
                        axes.plot(*at, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK)
                axes.margins(0.25)
                axes.set_title(aspect)
                axes.set_xlabel(SIDES[field])
            line[0].set_ylabel("gain (sd)")
        legend(figure, comparison.labels, comparison.labels)

    table = [
        [run, *(number(costs[f].get(run), 3) for f in fields), *(signed(g.get(run)) for g in gains.values()),
         "yes" if run in front else "no" if front else "–"]
        for run in comparison.labels
    ]  # fmt: skip
    against_what = " and ".join("time" if f == "seconds_per_video" else "cost" for f in fields)
    ring = " A ring marks a model that no other one beats without costing more." if front else ""
    return Plot(
        "pareto", f"Quality against {against_what}",
        f"Up is better, left is cheaper; gains are against {base}.{ring} Times are those of the machine"
        " that generated the videos.",
        (max(4.6, 1.2 + 1.75 * len(gains)), 0.7 + 2.1 * len(fields)), draw,
        ("model", *(SIDES[f] for f in fields), *gains, "on the front"), table,
    )  # fmt: skip
