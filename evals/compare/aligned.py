"""Two runs sample by sample: every metric of both as one matrix, averaged by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.compare.run_scores import RunScores

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Aligned:
    """Samples that either run planned, ordered by prompt and seed, with the metrics of both.

    `a` and `b` (samples, metrics) hold values, NaN where there is none; `applies` where the prompt gives
    neither side a reason to have none; `shared` (samples,) which ones both planned, in the same words."""

    metrics: tuple[str, ...]
    prompts: tuple[str, ...]
    starts: NDArray[np.intp]
    a: Array
    b: Array
    applies: Mask
    shared: Mask

    @property
    def scored(self) -> Mask:
        """Where both sides have a value."""
        return self.applies & ~np.isnan(self.a) & ~np.isnan(self.b)

    def lost(self, side: str) -> Mask:
        """Where one side lacks a value that it should have."""
        return self.applies & np.isnan(self.a if side == "a" else self.b)

    def by_prompt(self, values: Array) -> Array:
        """Means over the seeds of each prompt (prompts, metrics); NaN where a prompt has no value."""
        if not len(values):
            return np.zeros((0, values.shape[1]))
        present = ~np.isnan(values)
        sums = np.add.reduceat(np.where(present, values, 0.0), self.starts, axis=0)
        counts = np.add.reduceat(present.astype(np.float64), self.starts, axis=0)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / np.where(counts > 0, counts, np.nan), np.float64)

    def differences(self) -> Array:
        """a − b by prompt, over the seeds that both sides have (prompts, metrics)."""
        return self.by_prompt(np.where(self.scored, self.a - self.b, np.nan))

    def exact_differences(self) -> Array:
        """The same, 0 where equal numbers that were averaged in another order differ by rounding only."""
        found = self.differences()
        scale = np.nanmax(np.abs(np.where(self.scored, self.a, np.nan)), axis=0, initial=0.0)
        return np.asarray(np.where(np.abs(found) <= 1e-13 * scale, 0.0, found), np.float64)


def align(a: RunScores, b: RunScores, metrics: Sequence[str]) -> Aligned:
    """The metrics, which both runs have, of all samples that either planned."""
    index = a.grid.index.union(b.grid.index, sort=True)
    prompts = index.get_level_values("prompt_id").to_numpy()
    # What a prompt of other words gave is no answer to the same question: it counts as lost by both.
    reworded = np.isin(prompts, differently_worded([a, b]))
    places = [run.grid.index.get_indexer(index) for run in (a, b)]
    values, applies = [], []
    for run, where in zip((a, b), places, strict=True):
        columns = [run.grid.columns[name] for name in metrics]
        there = (where >= 0) & ~reworded
        values.append(np.where(there[:, None], run.grid.values[where][:, columns], np.nan))
        applies.append((where < 0)[:, None] | run.grid.applies[where][:, columns])
    names, starts = _groups(prompts)
    return Aligned(
        metrics=tuple(metrics), prompts=names, starts=starts, a=values[0], b=values[1],
        applies=applies[0] & applies[1], shared=(places[0] >= 0) & (places[1] >= 0) & ~reworded,
    )  # fmt: skip


def _groups(prompts: NDArray[np.object_]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """The prompts in order, and where each one's samples begin."""
    if not len(prompts):
        return (), np.zeros(0, np.intp)
    starts = np.flatnonzero(np.r_[True, prompts[1:] != prompts[:-1]])
    return tuple(str(p) for p in prompts[starts]), starts


def differently_worded(runs: Sequence[RunScores]) -> list[str]:
    """Ids of prompts that have other words in some of the runs."""
    words: dict[str, set[str]] = {}
    for run in runs:
        for prompt in run.prompts.values():
            words.setdefault(prompt.id, set()).add(prompt.text)
    return sorted(prompt_id for prompt_id, texts in words.items() if len(texts) > 1)
