"""The rows of the viewer: a prompt and seed, beside each other in all runs, the most telling first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evals.compare import Comparison
from evals.records import MetricInfo, Prompt
from evals.runs.current import SampleId


@dataclass(frozen=True)
class Row:
    """A prompt and seed. `disagreement`: how far apart the runs' scores are, in standard deviations of the
    metric between samples, on the primary metric that tells them apart most; 0 where nothing does."""

    prompt: Prompt
    seed: int
    disagreement: float = 0.0

    @property
    def at(self) -> SampleId:
        return self.prompt.id, self.seed


def shown_metrics(comparison: Comparison) -> list[MetricInfo]:
    """The metrics of single videos that some video has a value of."""
    valued = {mean.metric for mean in comparison.means if mean.mean is not None}
    return [info for info in comparison.of_kind("video") if info.id in valued]


def spreads(comparison: Comparison) -> dict[str, tuple[float, float]]:
    """By metric, mean and standard deviation of its scores over the samples of all runs; 0 where unknown."""
    scores = comparison.scores
    if scores.empty:
        return {}
    found = scores.groupby("metric", sort=False)["value"].agg(["mean", "std"]).fillna(0.0)
    return {str(name): (float(mean), float(sd)) for name, mean, sd in found.itertuples()}


def rows_of(comparison: Comparison) -> list[Row]:
    """Every prompt and seed that any run was asked for, by disagreement, then in the runs' order."""
    prompts: dict[str, Prompt] = {}
    planned: dict[SampleId, None] = {}
    for run in comparison.sources:
        for prompt_id, seed in zip(run.samples["prompt_id"], run.samples["seed"], strict=True):
            prompts.setdefault(prompt_id, run.prompts[prompt_id])
            planned.setdefault((prompt_id, int(seed)))
    apart = _disagreements(comparison)
    rows = [Row(prompts[at[0]], at[1], apart.get(at, 0.0)) for at in planned]
    return sorted(rows, key=lambda row: -row.disagreement)


def _disagreements(comparison: Comparison) -> dict[SampleId, float]:
    spread = {name: sd for name, (_, sd) in spreads(comparison).items()}
    primary = [i.id for i in shown_metrics(comparison) if i.role == "primary" and spread.get(i.id, 0) > 0]
    scores = comparison.scores[comparison.scores["metric"].isin(primary)]
    if scores.empty or len(comparison.runs) < 2:
        return {}
    sides = scores.groupby(["metric", "prompt_id", "seed"], sort=False)["value"]
    ranges = (sides.max() - sides.min()).reset_index()
    ranges["value"] /= ranges["metric"].map(spread)
    found = ranges.groupby(["prompt_id", "seed"], sort=False)["value"].max().dropna().reset_index()
    columns = (found["prompt_id"], found["seed"], found["value"])
    return {(str(p), int(s)): round(float(v), 3) for p, s, v in zip(*columns, strict=True)}


def first_prompts(rows: Sequence[Row], count: int | None) -> list[Row]:
    """The rows of the first `count` prompts; all for None."""
    if count is None:
        return list(rows)
    chosen = set(list(dict.fromkeys(row.prompt.id for row in rows))[:count])
    return [row for row in rows if row.prompt.id in chosen]


def values_of(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """By run, its scores: a row per prompt and seed, a column per shown metric."""
    names = [info.id for info in shown_metrics(comparison)]
    found = {}
    for run, mine in comparison.scores.groupby("run", sort=False):
        table = mine.pivot(index=["prompt_id", "seed"], columns="metric", values="value")
        found[str(run)] = table.reindex(columns=names)
    return found
