"""Means over prompts, by run, metric and category."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from evals.compare import statistics
from evals.compare.results import Distribution, Mean
from evals.compare.run_scores import RunScores, by_prompt
from evals.records import ALL, MetricInfo
from evals.runs.keys import random_seed

COUNTED = ("ok", "failed", "skipped", "refused", "missing")


def means(
    runs: Sequence[RunScores], infos: Sequence[MetricInfo], distributions: Sequence[Distribution]
) -> Iterable[Mean]:
    """A row per run, video metric and category, with `all` first; then the distribution metrics' values."""
    for run in runs:
        categories = sorted(set(run.samples["category"]))
        for info in infos:
            scores = run.by_metric.get(info.id)
            if info.id not in run.metrics:
                continue
            if scores is None:
                scores = run.scores.iloc[:0].set_index(["prompt_id", "seed"])
            yield _mean(run, info, ALL, scores)
            for category in categories:
                yield _mean(run, info, category, scores[scores["category"] == category])
    for one in distributions:
        yield Mean(
            run=one.run, metric=one.metric, category=ALL, mean=one.value, ci_low=one.ci_low,
            ci_high=one.ci_high, n_ok=one.n, n_failed=0, n_skipped=0, n_refused=0, n_missing=0,
            n_prompts=None,
        )  # fmt: skip


def _mean(run: RunScores, info: MetricInfo, category: str, scores: pd.DataFrame) -> Mean:
    counts = scores["status"].value_counts()
    values = scores.loc[scores["status"] == "ok", "value"]
    mean = low = high = None
    prompts = 0
    if len(values):
        seed = random_seed(run.label, info.id, category)
        found = statistics.mean_interval(by_prompt(values), seed, len(values), info.binary)
        mean, prompts = found.mean, found.n
        low, high = _within(found, info)
    return Mean(
        run=run.label, metric=info.id, category=category, mean=mean, ci_low=low, ci_high=high,
        **{f"n_{status}": int(counts.get(status, 0)) for status in COUNTED}, n_prompts=prompts,
    )  # fmt: skip


def _within(found: statistics.Estimate, info: MetricInfo) -> tuple[float | None, float | None]:
    """An interval cut at the ends of the metric's range, which that of a skewed share can exceed."""
    low = found.low if found.low is None or info.low is None else max(found.low, info.low)
    high = found.high if found.high is None or info.high is None else min(found.high, info.high)
    return low, high
