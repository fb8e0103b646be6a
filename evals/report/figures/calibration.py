"""A gate's calibration: how far repeats of one unchanged model differ, and how far known-bad videos do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.gate.records import Calibration
from evals.report.figures.style import BLUE, GREY, INK, ORANGE, Plot, clean, label
from evals.report.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(found: Calibration, place: int) -> Plot:
    """A panel per fidelity metric: repeats, the threshold, and the mildest video of every known-bad kind."""
    separations = found.separations
    most = max((len(one.kinds) for one in separations), default=0)

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D

        panels = figure.subplots(1, max(1, len(separations)), squeeze=False)[0]
        for axes, one in zip(panels, separations, strict=False):
            clean(axes)
            axes.plot([one.median_repeat, one.worst_repeat], [0, 0], color=BLUE, linewidth=3)
            axes.plot([one.worst_repeat], [0], "o", color=BLUE, markersize=6)
            for y, kind in enumerate(one.kinds, 1):
                if kind.mildest is not None:
                    axes.plot([kind.mildest], [y], "s" if kind.separated else "X", markersize=6,
                              color=ORANGE if kind.separated else GREY)  # fmt: skip
            if one.threshold is not None:
                axes.axvline(one.threshold, color=INK, linewidth=0.9, linestyle="--")
            axes.set_yticks(range(len(one.kinds) + 1), ["repeats", *(label(k.kind) for k in one.kinds)])
            axes.set_ylim(most + 0.6, -0.6)
            axes.set_title(label(one.metric) + ("" if one.usable else " (not usable)"))
        handles = [
            Line2D([], [], color=BLUE, marker="o", linewidth=3, label="repeats: median to worst"),
            Line2D([], [], color=ORANGE, marker="s", linestyle="", label="mildest known-bad, told apart"),
            Line2D([], [], color=GREY, marker="X", linestyle="", label="not told apart"),
            Line2D([], [], color=INK, linestyle="--", label="threshold"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)

    rows = [
        [one.metric, number(one.threshold, 3), number(one.median_repeat, 3), number(one.worst_repeat, 3),
         kind.kind, number(kind.mildest, 3), f"{kind.missed.count} of {kind.missed.n}"]
        for one in separations for kind in one.kinds
    ]  # fmt: skip
    platform = ", ".join(f"{k} {v}" for k, v in found.platform.items())
    return Plot(
        f"calibration-{place}", "The gate's calibration",
        f"Repeats of one unchanged model{f' on {platform}' if platform else ''} lie on one side of the"
        " threshold, known-bad videos on the other. Where they overlap, the metric decides nothing. "
        + ("The repeats were identical." if found.identical else ""),
        (max(5.0, 1.0 + 2.7 * len(separations)), 1.4 + 0.28 * (most + 1)), draw,
        ("metric", "threshold", "median repeat", "worst repeat", "known-bad kind", "its mildest", "missed"),
        rows,
    )  # fmt: skip
