"""Win rates: the share of prompts on which one model is ahead of another, by aspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.records import ASPECTS, Aspect
from evals.report.figures.style import Plot, ink_on, label, shade

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(comparison: Comparison) -> Plot | None:
    """A matrix of models by models for every aspect."""
    rates: dict[tuple[Aspect, str, str], float] = {}
    for one in comparison.standings:
        for x in one.aspects:
            if x.win_rate is not None:
                rates[x.aspect, one.a, one.b] = x.win_rate
                rates[x.aspect, one.b, one.a] = 1 - x.win_rate
    if not rates:
        return None
    aspects = sorted({aspect for aspect, _, _ in rates}, key=ASPECTS.index)
    rows = [run for run in comparison.labels if any(a == run for _, a, _ in rates)]
    base = comparison.baseline
    columns = [base] if base is not None else rows
    shown = [run for run in rows if run != base]

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        panels = figure.subplots(1, len(aspects), sharey=True, squeeze=False)[0]
        for axes, aspect in zip(panels, aspects, strict=True):
            for y, a in enumerate(shown):
                for x, b in enumerate(columns):
                    rate = rates.get((aspect, a, b))
                    if rate is None:
                        continue
                    axes.add_patch(Rectangle((x, y), 0.96, 0.94, color=shade(rate)))
                    text = f"{100 * rate:.0f}"
                    axes.text(x + 0.48, y + 0.48, text, ha="center", va="center", size=8, color=ink_on(rate))
            axes.set(xlim=(0, len(columns)), ylim=(len(shown), 0))
            axes.set_xticks(
                [x + 0.5 for x in range(len(columns))], [label(b) for b in columns], rotation=40, ha="right"
            )
            axes.set_title(aspect)
            axes.tick_params(length=0)
            for side in axes.spines.values():
                side.set_visible(False)
        panels[0].set_yticks([y + 0.5 for y in range(len(shown))], [label(a) for a in shown])

    table = [[aspect, a, b, f"{100 * rate:.0f} %"] for (aspect, a, b), rate in rates.items() if a in shown]
    return Plot(
        "win-rates", "Win rates",
        "Per cent of prompts on which the model of the row is ahead of the model of the column; ties count"
        " half. 50 means that neither is. A high rate with a small gain is a small but steady advantage.",
        (max(4.0, 1.8 + len(aspects) * (0.5 + 0.42 * len(columns))), 1.3 + 0.32 * len(shown)), draw,
        ("aspect", "model", "against", "ahead on"), table,
    )  # fmt: skip
