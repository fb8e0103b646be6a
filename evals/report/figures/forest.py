"""Forest plots: the gain of every model against one of them, by aspect, and by aspect and category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.compare.rules import MARGIN
from evals.records import ASPECTS, Aspect
from evals.report.figures.style import (
    DIM,
    INK,
    LINE,
    VERDICTS,
    Plot,
    clean,
    colour_of,
    label,
    legend,
    marker_of,
)
from evals.report.matrix import SAID, against, base_of
from evals.report.numbers import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNIT = "gain in standard deviations between prompts"
MOST_CATEGORIES = 24
REACH = 5.0


@dataclass(frozen=True)
class _Gain:
    run: str
    aspect: Aspect
    category: str
    gain: float
    low: float | None
    high: float | None
    n: int
    verdict: str = ""


def by_aspect(comparison: Comparison) -> Plot | None:
    """Every aspect's gain with its verdict."""
    base = base_of(comparison)
    if base is None:
        return None
    gains = []
    for run in comparison.labels:
        for aspect in ASPECTS:
            one = against(comparison, run, base, aspect) if run != base else None
            if one is not None and one.gain is not None:
                verdict = SAID[one.outcome]
                gains.append(
                    _Gain(run, aspect, "", one.gain, one.ci_low, one.ci_high, one.n_prompts, verdict)
                )
    if not gains:
        return None
    aspects = sorted({g.aspect for g in gains}, key=ASPECTS.index)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _frame(axes, gains)
        place, ticks, names = 0.0, [], []
        for aspect in aspects:
            mine = [g for g in gains if g.aspect == aspect]
            axes.text(-0.01, place, aspect, ha="right", va="center", weight="bold", transform=_beside(axes))
            for one in mine:
                place += 1
                _mark(axes, one, place, VERDICTS[one.verdict], marker_of(comparison.labels.index(one.run)))
                ticks.append(place)
                names.append(f"{label(one.run)}: {one.verdict}")
            place += 1.4
        axes.set_yticks(ticks, names)
        axes.set_ylim(place - 0.7, -0.8)
        axes.set_xlabel(f"{UNIT}, against {label(base)}")

    rows = [[g.aspect, g.run, signed(g.gain), _bounds(g), g.verdict, str(g.n)] for g in gains]
    return Plot(
        "forest", f"Differences from {base}, by aspect",
        "Each mark is the mean gain over prompts with its 95 % interval; right of 0 is better. The band is"
        " the margin: what lies within it counts as no difference. Colour and words say the verdict, which"
        " is corrected for the number of aspects.",
        (7.2, 0.9 + 0.24 * (len(gains) + 1.4 * len(aspects))), draw,
        ("aspect", "model", "gain", "95 % interval", "verdict", "prompts"), rows,
    )  # fmt: skip


def by_category(comparison: Comparison) -> Plot | None:
    """Every aspect's gain in every category."""
    base = base_of(comparison)
    if base is None:
        return None
    gains = []
    for one in comparison.standings:
        if base not in (one.a, one.b):
            continue
        run, sign = (one.a, 1) if one.b == base else (one.b, -1)
        for c in one.categories:
            low, high = (c.ci_low, c.ci_high) if sign > 0 else (_minus(c.ci_high), _minus(c.ci_low))
            gains.append(_Gain(run, c.aspect, c.category, sign * c.gain, low, high, c.n_prompts))
    if not gains:
        return None
    aspects = sorted({g.aspect for g in gains}, key=ASPECTS.index)
    runs = [run for run in comparison.labels if any(g.run == run for g in gains)]
    size = {g.category: max(x.n for x in gains if x.category == g.category) for g in gains}
    least = {g.category: min(x.n for x in gains if x.category == g.category) for g in gains}
    kept = sorted(size, key=lambda name: -size[name])[:MOST_CATEGORIES]
    categories = sorted(kept)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(aspects), sharey=True, squeeze=False)[0]
        for axes, aspect in zip(panels, aspects, strict=True):
            mine = [g for g in gains if g.aspect == aspect and g.category in kept]
            _frame(axes, mine)
            axes.set_title(aspect)
            for one in mine:
                place = categories.index(one.category) + 0.7 * ((runs.index(one.run) + 0.5) / len(runs) - 0.5)
                k = comparison.labels.index(one.run)
                _mark(axes, one, place, colour_of(k), marker_of(k))
            for i in range(1, len(categories)):
                axes.axhline(i - 0.5, color=LINE, linewidth=0.6)
        panels[0].set_yticks(
            range(len(categories)),
            [
                f"{label(c)} ({least[c]}–{size[c]})" if least[c] < size[c] else f"{label(c)} ({size[c]})"
                for c in categories
            ],
        )
        panels[0].set_ylim(len(categories) - 0.4, -0.6)
        legend(figure, comparison.labels, runs)
        figure.supxlabel(f"{UNIT}, against {label(base)}", fontsize=8.5, color=DIM)

    rows = [[g.category, g.aspect, g.run, signed(g.gain), _bounds(g), str(g.n)] for g in gains]
    left = len(size) - len(kept)
    return Plot(
        "forest-categories", f"Differences from {base}, by category",
        "Where a model gains or loses: right of 0 is better. Intervals are of 95 % for each mark alone and"
        " describe; verdicts are of all prompts. Under 6 prompts there is no interval, and the mark is"
        " faint. In brackets: prompts."
        + (f" {left} smaller categories are in the table only." if left else ""),
        (max(5.0, 1.8 + 1.7 * len(aspects)), 1.3 + len(categories) * max(0.3, 0.13 * len(runs))), draw,
        ("category", "aspect", "model", "gain", "95 % interval", "prompts"), rows,
    )  # fmt: skip


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _beside(axes: Axes) -> object:
    return axes.get_yaxis_transform()


def _frame(axes: Axes, gains: Sequence[_Gain]) -> None:
    bounds = [abs(x) for g in gains for x in (g.gain, g.low, g.high) if x is not None]
    reach = min(REACH, max([0.5, *bounds]) * 1.08)
    axes.set_xlim(-reach, reach)
    clean(axes)
    axes.axvspan(-MARGIN, MARGIN, color=LINE, alpha=0.5, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)


def _mark(axes: Axes, one: _Gain, place: float, ink: str, shape: str) -> None:
    low, high = axes.get_xlim()
    if one.low is not None and one.high is not None:
        axes.plot([max(low, one.low), min(high, one.high)], [place, place], color=ink)
    shape = "<" if one.gain < low else ">" if one.gain > high else shape  # it lies beyond the axis
    faint = 0.45 if one.low is None else 1.0  # too few prompts for an interval
    axes.plot([min(max(one.gain, low), high)], [place], shape, color=ink, markersize=5, alpha=faint)


def _bounds(one: _Gain) -> str:
    return "–" if one.low is None else f"[{signed(one.low)}, {signed(one.high)}]"
