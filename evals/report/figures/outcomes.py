"""Outcome bars: what became of the samples that each model was asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.report.figures.style import BLUE, DIM, GREY, LINE, ORANGE, Plot, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"ok": BLUE, "refused": "#e69f00", "failed": ORANGE, "missing": GREY}


def plot(comparison: Comparison) -> Plot | None:
    """A bar per model; nothing where every sample has its video."""
    lost = Counter((p.run, str(p.status)) for p in comparison.problems if not p.metric)
    if not lost:
        return None
    counts = {
        run.run: {"ok": run.samples_ok, **{s: lost[run.run, s] for s in ("refused", "failed", "missing")}}
        for run in comparison.runs
    }

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for y, found in enumerate(counts.values()):
            total, left = sum(found.values()) or 1, 0.0
            for status, n in found.items():
                share = 100 * n / total
                if not n:
                    continue
                axes.barh(y, share, left=left, color=COLOURS[status], height=0.62, linewidth=0)
                if share > 4:
                    axes.text(
                        left + share / 2, y, str(n), ha="center", va="center", fontsize=8, color="#ffffff"
                    )
                left += share
        axes.set_yticks(range(len(counts)), [label(run) for run in counts])
        axes.set(xlim=(0, 100), ylim=(len(counts) - 0.5, -0.5), xlabel="per cent of the samples asked for")
        axes.tick_params(length=0)
        axes.spines["left"].set_color(LINE)
        handles = [_patch(COLOURS[s], s) for s in COLOURS if any(c[s] for c in counts.values())]
        figure.legend(handles=handles, loc="outside upper left", ncols=4, labelcolor=DIM)

    return Plot(
        "outcomes", "What became of the samples",
        "A refused sample is the model's decision, a failed one the machine's or the file's, a missing one"
        " was never made. None of them counts in a mean, so compare the bars before you compare means.",
        (7.2, 1.1 + 0.34 * len(counts)), draw, ("model", *COLOURS),
        [[run, *(str(n) for n in found.values())] for run, found in counts.items()],
    )  # fmt: skip


def _patch(colour: str, name: str) -> object:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=name)
