"""Figures of a comparison, one file per figure: each as SVG (light and dark) and PDF, with a table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evals.compare import Comparison
from evals.report.figures import distances, forest, heatmap, outcomes, pareto, spread, win_rates
from evals.report.figures.style import Plot, save

FIGURES: tuple[Callable[[Comparison], list[Plot]], ...] = (
    forest.plots, heatmap.plots, win_rates.plots, outcomes.plots, pareto.plots, distances.plots, spread.plots,
)  # fmt: skip
"""In the order of the page. Each gives no plot where the comparison holds nothing for it."""
FOLDER = "figures"


def plots(comparison: Comparison) -> list[Plot]:
    """Every figure that the comparison has something for."""
    return [plot for made in FIGURES for plot in made(comparison)]


def write(found: Sequence[Plot], folder: Path) -> None:
    """Write the figures' files; those of figures that there are no longer go."""
    folder.mkdir(exist_ok=True)
    files = {name for plot in found for name in save(plot, folder)}
    known = {"forest", "forest-categories", "heatmap", "win-rates", "outcomes", "pareto", "distances", "spread"}
    for stem in known:
        for name in (f"{stem}.svg", f"{stem}-dark.svg", f"{stem}.pdf"):
            if name not in files:
                (folder / name).unlink(missing_ok=True)


__all__ = ["FIGURES", "FOLDER", "Plot", "plots", "write"]
