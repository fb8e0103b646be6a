"""The distribution of every metric's scores over videos, by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evals.compare import Comparison
from evals.records import ASPECTS
from evals.report.figures.style import INK, Plot, clean, colour_of, label
from evals.report.numbers import number
from evals.report.tables import arrow
from evals.report.terminal import short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3
DOTS = 60  # scores of one model up to which each has its dot
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def plot(comparison: Comparison) -> Plot | None:
    """A panel per metric that is no yes or no."""
    scores = comparison.scores
    ok = scores[scores["status"] == "ok"]
    infos = [i for i in comparison.of_kind("video") if not i.binary and (ok["metric"] == i.id).any()]
    infos.sort(key=lambda i: (ASPECTS.index(i.aspect), i.role != "primary"))
    if not infos:
        return None
    values = {
        (str(m), str(r)): np.sort(np.asarray(v, np.float64))
        for (m, r), v in ok.groupby(["metric", "run"], sort=False)["value"]
    }
    varied = [i for i in infos if ok.loc[ok["metric"] == i.id, "value"].nunique() > 1]
    if not varied:
        return None
    labels = comparison.labels
    across = min(ACROSS, len(varied))
    down = -(-len(varied) // across)
    short = short_names([i.id for i in infos])

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for axes, info in zip(grid, varied, strict=False):
            clean(axes)
            for y, run in enumerate(labels):
                mine, colour = values.get((info.id, run)), colour_of(y)
                if mine is None:
                    continue
                low, q1, middle, q3, high = np.quantile(mine, QUANTILES)
                axes.plot([low, high], [y, y], color=colour, linewidth=1)
                axes.add_patch(
                    Rectangle((q1, y - 0.26), q3 - q1, 0.52, color=colour, alpha=0.35, linewidth=0)
                )
                axes.plot([middle, middle], [y - 0.26, y + 0.26], color=INK, linewidth=1.4)
                if len(mine) <= DOTS:
                    axes.plot(mine, y + _jitter(len(mine)), ".", color=colour, markersize=3)
            axes.set_title(f"{label(short[info.id])} {arrow(info)}")
            axes.xaxis.set_major_locator(_few())
        for axes in grid[len(varied) :]:
            axes.set_visible(False)
        for axes in grid[::across]:
            axes.set_yticks(range(len(labels)), [label(run) for run in labels])
            axes.set_ylim(len(labels) - 0.5, -0.5)

    table = [
        [info.id, run, str(len(mine)), *(number(float(q), 3) for q in np.quantile(mine, QUANTILES))]
        for info in infos
        for run in labels
        if (mine := values.get((info.id, run))) is not None
    ]
    return Plot(
        "spread", "How the scores of single videos spread",
        "A box holds the middle half of a model's videos, its line is the median, the whiskers reach from"
        " 5 to 95 %. Long tails on the worse side are the videos to look at: order the viewer below by"
        " worst score. A metric with one and the same score everywhere is in the table only.",
        (max(4.6, 1.6 + 1.9 * across), 0.5 + down * (0.55 + 0.24 * len(labels))), draw,
        ("metric", "model", "videos", "5 %", "25 %", "median", "75 %", "95 %"), table,
    )  # fmt: skip


def _jitter(count: int) -> NDArray[np.float64]:
    """Small offsets that look random and are the same every time."""
    return np.asarray(0.18 * np.sin(np.arange(count) * 2.399963), np.float64)


def _few() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
