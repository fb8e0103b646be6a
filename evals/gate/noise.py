"""How far repeats of an unchanged model differ, prompt by prompt: from a calibration, else from seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.compare.aligned import align
from evals.compare.run_scores import RunScores
from evals.gate.records import Baseline, Calibration, Repeats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Differences (rows, metrics) between repeats, scaled to the number of seeds that the gate averages; NaN
    where there is none. `measured` says that they come from repeats of the same prompts and seeds."""

    metrics: tuple[str, ...]
    rows: Array
    measured: bool

    def of(self, metrics: Sequence[str]) -> Array:
        """Columns of some metrics (rows, metrics); NaN for one that was not measured."""
        places = {name: i for i, name in enumerate(self.metrics)}
        out = np.full((len(self.rows), len(metrics)), np.nan)
        for j, name in enumerate(metrics):
            if name in places:
                out[:, j] = self.rows[:, places[name]]
        return out

    def spread(self, metric: str) -> float | None:
        """The standard deviation of repeats' differences about 0; None where nothing was measured."""
        values = self.of([metric])[:, 0]
        values = values[~np.isnan(values)]
        return float(np.sqrt((values**2).mean())) if len(values) > 1 else None


NOTHING = Noise((), np.zeros((0, 0)), False)


def noise_of(baseline: Baseline, calibration: Calibration | None, seeds: int) -> Noise:
    """What is known of repeats, for means over so many seeds."""
    kept = calibration.repeats if calibration is not None else None
    needed = {name for name in baseline.primary if name in baseline.scores}
    if kept is not None and kept.differences and needed <= set(kept.metrics):
        rows = np.array(kept.differences, np.float64)  # None becomes NaN
        return Noise(kept.metrics, rows * np.sqrt(kept.seeds / max(1, seeds)), True)
    return of_seeds(baseline, seeds)


def of_seeds(baseline: Baseline, seeds: int) -> Noise:
    """Differences between two seeds of one prompt, each seed used once. Seeds differ at least as much as
    repeats of one seed do, so a bound that comes from them is wide."""
    groups: dict[str, list[int]] = {}
    for place, sample in enumerate(baseline.samples):
        groups.setdefault(sample.prompt_id, []).append(place)
    pairs = [(g[i], g[i + 1]) for g in groups.values() for i in range(0, len(g) - 1, 2)]
    names = tuple(baseline.scores)
    if not pairs or not names:
        return NOTHING
    values = np.array([baseline.scores[name] for name in names], np.float64).T
    rows = np.stack([values[a] - values[b] for a, b in pairs]) / np.sqrt(max(1, seeds))
    return Noise(names, rows, False)


def repeats_of(runs: Sequence[RunScores], metrics: Sequence[str], seeds: int) -> Repeats:
    """Differences by prompt of every run after the first minus the first."""
    found = []
    for run in runs[1:]:
        differences = align(run, runs[0], metrics).differences()
        found += [tuple(None if np.isnan(x) else float(x) for x in row) for row in differences]
    return Repeats(metrics=tuple(metrics), differences=tuple(found), seeds=seeds)
