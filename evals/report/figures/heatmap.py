"""Category × metric: every model's means, coloured by how far the model is from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.compare import Comparison
from evals.records import ALL, ASPECTS, MetricInfo
from evals.report.figures.style import Plot, ink_on, label, shade
from evals.report.numbers import number
from evals.report.terminal import short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 96


def plot(comparison: Comparison) -> Plot | None:
    """One panel per model, or one of all models where there is a single category."""
    valued = {m.metric for m in comparison.means if m.mean is not None}
    infos = [i for i in comparison.of_kind("video") if i.id in valued and i.direction != "none"]
    infos.sort(key=lambda i: ASPECTS.index(i.aspect))
    different = {(m.metric, m.mean) for m in comparison.means if m.mean is not None}
    infos = [i for i in infos if sum(metric == i.id for metric, _ in different) > 1]  # no constant columns
    if not infos:
        return None
    names = sorted({m.category for m in comparison.means} - {ALL})
    means = {(m.run, m.category, m.metric): m for m in comparison.means}
    single = len(names) < 2
    if not single:
        counts = {c: max(m.n_prompts or 0 for m in comparison.means if m.category == c) for c in names}
        most = max(1, MOST_ROWS // len(comparison.labels))
        kept = sorted(sorted(names, key=lambda c: -counts[c])[:most])
        panels = [(run, [(c, run, c) for c in kept]) for run in comparison.labels]
    else:
        kept = [ALL]
        panels = [("", [(run, run, ALL) for run in comparison.labels])]

    def value(run: str, category: str, metric: str) -> float | None:
        found = means.get((run, category, metric))
        return found.mean if found is not None else None

    def apart(run: str, category: str, metric: str) -> float | None:
        """A model's mean less that of all models in the category."""
        every = [x for label in comparison.labels if (x := value(label, category, metric)) is not None]
        mine = value(run, category, metric)
        return None if mine is None else mine - sum(every) / len(every)

    cells = [(run, category) for _, rows in panels for _, run, category in rows]
    largest = {
        i.id: max((abs(x) for run, c in cells if (x := apart(run, c, i.id)) is not None), default=0.0)
        for i in infos
    }

    def share(run: str, category: str, info: MetricInfo) -> float:
        """0.5 for the models' mean, 1 for the largest lead that any model has anywhere, 0 for the largest
        lag."""
        lead = (apart(run, category, info.id) or 0.0) * (1 if info.direction == "higher" else -1)
        return 0.5 + 0.5 * lead / largest[info.id] if largest[info.id] > 0 else 0.5

    short = short_names([i.id for i in infos])
    height = sum(len(rows) for _, rows in panels)

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        ratios = [len(rows) for _, rows in panels]
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
        for axes, (title, rows) in zip(grid, panels, strict=True):
            for y, (_, run, category) in enumerate(rows):
                for x, info in enumerate(infos):
                    mean = value(run, category, info.id)
                    if mean is None:
                        continue
                    at = share(run, category, info)
                    axes.add_patch(Rectangle((x, y), 0.96, 0.94, color=shade(at)))
                    text = number(mean, 2)
                    axes.text(x + 0.48, y + 0.48, text, ha="center", va="center", size=7, color=ink_on(at))
            axes.set(xlim=(0, len(infos)), ylim=(len(rows), 0))
            axes.set_yticks([y + 0.5 for y in range(len(rows))], [label(name) for name, _, _ in rows])
            axes.set_title(label(title))
            axes.tick_params(length=0)
            for side in axes.spines.values():
                side.set_visible(False)
        arrows = {"higher": "↑", "lower": "↓"}
        names = [f"{label(short[i.id])} {arrows[i.direction]}" for i in infos]
        places = [x + 0.48 for x in range(len(infos))]
        grid[-1].set_xticks(places, names, rotation=40, ha="right")
        if len(panels) > 1:  # and above, so that no panel is far from them
            above = grid[0].secondary_xaxis("top")
            above.set_xticks(places, names, rotation=40, ha="left")
            above.tick_params(length=0)
            above.spines["top"].set_visible(False)

    table = [
        [category if category != ALL else "all", run, *(number(value(run, category, i.id), 3) for i in infos)]
        for _, rows in panels
        for _, run, category in rows
    ]
    left = len(names) - len(kept) if not single else 0
    return Plot(
        "heatmap", "Means by metric" if single else "Means by category and metric",
        "Yellow: better than the models' mean in the same category; blue: worse; grey: like it. Each"
        " column has its own scale, up to the largest deviation in it. Whether a difference is more than"
        " noise is in the table of differences."
        + (f" {left} smaller categories are left out; means.csv has them." if left else ""),
        (max(5.0, 2.0 + 0.56 * len(infos)), 1.5 + 0.26 * height + 0.3 * len(panels)), draw,
        ("category", "model", *(i.id for i in infos)), table,
    )  # fmt: skip
