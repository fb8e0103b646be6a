"""Where each model fails: its flagged videos, the category it is weakest in, and its worst videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.compare import Comparison
from evals.report.numbers import number, signed
from evals.report.page.curves import Found
from evals.report.page.media import ShownId
from evals.report.page.rows import Row, shown_metrics, spreads, values_of
from evals.report.terminal import short_names

WORST, FEW = 3, 3
"""Videos that are named, and the prompts that a category needs to be called weak."""


@dataclass(frozen=True)
class Worst:
    """One of a model's worst videos: the viewer's row, and the metric it is worst on with its score."""

    row: int
    prompt: str
    said: str


@dataclass(frozen=True)
class Failing:
    """A model: how many of its videos have flags of each kind (kind, number), of how many; its weakest
    category in words, its worst videos."""

    run: str
    flagged: list[tuple[str, int]]
    videos: int
    weakest: str
    worst: list[Worst]


def failing(comparison: Comparison, rows: Sequence[Row], found: Mapping[ShownId, Found]) -> list[Failing]:
    """A line for every model."""
    flags: dict[str, Counter[str]] = {label: Counter() for label in comparison.labels}
    videos: Counter[str] = Counter()
    for (label, _), one in found.items():
        videos[label] += 1
        flags[label].update({flag.kind for flag in one.flags})
    worst = _worst(comparison, rows)
    return [
        Failing(
            label,
            sorted(flags[label].items()),
            videos[label],
            _weakest(comparison, label),
            worst.get(label, []),
        )
        for label in comparison.labels
    ]


def _weakest(comparison: Comparison, label: str) -> str:
    """The category and aspect in which a model loses most against any other, of those with a few prompts."""
    losses = []
    for one in comparison.standings:
        if label in (one.a, one.b):
            sign, other = (1, one.b) if one.a == label else (-1, one.a)
            losses += [(sign * c.gain, other, c) for c in one.categories if c.n_prompts >= FEW]
    if not losses or min(gain for gain, _, _ in losses) >= 0:
        return "–"
    gain, other, c = min(losses, key=lambda loss: loss[0])
    return f"{c.category}: {c.aspect} {signed(gain)} sd against {other} ({c.n_prompts} prompts)"


def _worst(comparison: Comparison, rows: Sequence[Row]) -> dict[str, list[Worst]]:
    """By model, the videos whose score on some primary metric is furthest on the worse side of all
    videos'."""
    doubted = {name for use in comparison.judges if use.reason is not None for name in use.metrics}
    infos = [i for i in shown_metrics(comparison) if i.role == "primary" and i.id not in doubted]
    spread, names = spreads(comparison), short_names([i.id for i in infos])
    infos = [i for i in infos if spread.get(i.id, (0.0, 0.0))[1] > 0]
    if not infos or not rows:
        return {}
    found = {}
    for label, table in values_of(comparison).items():
        values = table.reindex([row.at for row in rows])[[i.id for i in infos]].to_numpy(np.float64)
        mean = np.array([spread[i.id][0] for i in infos])
        scale = np.array([spread[i.id][1] * (1 if i.direction == "higher" else -1) for i in infos])
        badness = np.nan_to_num((mean - values) / scale, nan=-np.inf)
        order = np.argsort(-badness.max(1), kind="stable")[:WORST]
        found[label] = [
            Worst(int(r), rows[r].prompt.id, f"{names[infos[m].id]} {number(float(values[r, m]), 3)}")
            for r in order
            if np.isfinite(badness[r, m := int(badness[r].argmax())]) and badness[r, m] > 0
        ]
    return found
