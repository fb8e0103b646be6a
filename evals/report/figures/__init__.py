"""Figures of a comparison, one file per figure: each as SVG (light and dark) and PDF, with a table behind
it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from evals.compare import Comparison
from evals.gate.records import Calibration
from evals.report.figures import calibration, distances, forest, heatmap, outcomes, pareto, spread, win_rates
from evals.report.figures.style import Plot, save

FIGURES: dict[str, Callable[[Comparison], Plot | None]] = {
    "forest": forest.by_aspect,
    "forest-categories": forest.by_category,
    "heatmap": heatmap.plot,
    "win-rates": win_rates.plot,
    "outcomes": outcomes.plot,
    "pareto": pareto.plot,
    "distances": distances.plot,
    "spread": spread.plot,
}
"""In the order of the page, under the names of their files. Each gives None where there is nothing to
draw."""
FOLDER = "figures"
OURS = re.compile(rf"({'|'.join([*FIGURES, 'calibration-[0-9]+'])})(-dark)?\.(svg|pdf)")


def plots(comparison: Comparison, calibrations: Sequence[Calibration] = ()) -> list[Plot]:
    """Every figure that the comparison has something for, then a gate's calibrations."""
    found = [plot for made in FIGURES.values() if (plot := made(comparison)) is not None]
    return found + [calibration.plot(one, i) for i, one in enumerate(calibrations, 1)]


def write(found: Sequence[Plot], folder: Path) -> None:
    """Write the figures' files."""
    for plot in found:
        folder.mkdir(exist_ok=True)
        save(plot, folder)


__all__ = ["FIGURES", "FOLDER", "OURS", "Plot", "plots", "write"]
