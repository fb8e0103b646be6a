"""Distribution metrics: every model's distance to the reference, with its interval and the sets' sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.report.figures.style import INK, Plot, clean, colour_of, label, marker_of
from evals.report.numbers import interval, number
from evals.report.tables import arrow
from evals.report.terminal import short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3


def plot(comparison: Comparison) -> Plot | None:
    """A panel per metric and reference."""
    found = [d for d in comparison.distributions if d.value is not None]
    groups = list(dict.fromkeys((d.metric, d.reference) for d in found))
    if not groups:
        return None
    labels = comparison.labels
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    several = len({reference for _, reference in groups}) > 1
    short = short_names(list(dict.fromkeys(metric for metric, _ in groups)))

    def draw(figure: Figure) -> None:
        grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for axes, (metric, reference) in zip(grid, groups, strict=False):
            clean(axes)
            for d in (d for d in found if (d.metric, d.reference) == (metric, reference)):
                y = labels.index(d.run)
                colour = colour_of(y)
                if d.ci_low is not None and d.ci_high is not None:
                    axes.plot([d.ci_low, d.ci_high], [y, y], color=colour)
                axes.plot([float(d.value or 0)], [y], marker_of(y), color=colour, markersize=6)
            low, high = axes.get_xlim()
            if low < 0 < high:
                axes.axvline(0, color=INK, linewidth=0.7)
            title = f"{label(short[metric])} {arrow(comparison.metrics[metric])}"
            axes.set_title(f"{title} to {label(reference)}" if several else title)
        for axes in grid[len(groups) :]:
            axes.set_visible(False)
        for axes in grid[::across]:
            axes.set_yticks(range(len(labels)), [label(run) for run in labels])
            axes.set_ylim(len(labels) - 0.5, -0.5)

    table = [
        [
            d.metric,
            d.run,
            d.reference,
            number(d.value),
            interval(d.ci_low, d.ci_high),
            str(d.n),
            str(d.n_reference),
        ]
        for d in found
    ]
    sizes = sorted({(d.n, d.n_reference) for d in found})
    said = ", ".join(f"{n} against {m}" for n, m in sizes[:4])
    return Plot(
        "distances", "Distances to the reference",
        f"Left is nearer to the reference, except where ↑ says that more is better. Videos: {said}. Lines"
        " are 95 % intervals where one is valid; a Fréchet distance of few videos has none, and is biased"
        " upwards by them.",
        (max(4.6, 1.6 + 1.9 * across), 0.6 + down * (0.55 + 0.24 * len(labels))), draw,
        ("metric", "model", "reference", "value", "95 % interval", "N", "N reference"), table,
    )  # fmt: skip
