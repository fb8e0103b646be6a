"""Means over prompts, by run, metric and category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evals.compare import statistics
from evals.compare.results import Distribution, Mean, PartMean
from evals.compare.run_scores import RunScores
from evals.records import ALL, MetricInfo

COUNTED = ("ok", "failed", "skipped", "refused", "missing")


def means(
    runs: Sequence[RunScores], infos: Sequence[MetricInfo], distributions: Sequence[Distribution]
) -> list[Mean]:
    """A row per run, metric of samples and category, with `all` first; then the distribution metrics' values.
    Intervals of all rows are computed together."""
    rows: list[Mean] = []
    scores: dict[int, statistics.Scores] = {}
    for run in runs:
        for info in infos:
            if info.id in run.metrics:
                for mean, values in _of_metric(run, info):
                    if values is not None:
                        scores[len(rows)] = values
                    rows.append(mean)
    for i, found in zip(scores, statistics.mean_intervals(list(scores.values())), strict=True):
        changes = {"mean": found.mean, "ci_low": found.low, "ci_high": found.high, "n_prompts": found.n}
        rows[i] = rows[i].model_copy(update=changes)
    return rows + [_of_distribution(one) for one in distributions]


def _of_metric(run: RunScores, info: MetricInfo) -> Iterator[tuple[Mean, statistics.Scores | None]]:
    """A row per category without its mean yet, and the values that it is of."""
    scores = run.by_metric.get(info.id)
    if scores is None:
        scores = run.scores.iloc[:0].set_index(["prompt_id", "seed"])
    counts = scores.groupby(["category", "status"], sort=True).size()
    ok = scores[scores["status"] == "ok"]
    by_prompt = ok.groupby(["category", "prompt_id"], sort=True)["value"].mean()
    for category in (ALL, *sorted(set(run.samples["category"]))):
        had = counts.index.get_level_values("category")
        mine = (counts if category == ALL else counts[had == category]).groupby(level="status").sum()
        row = Mean(
            run=run.label, metric=info.id, category=category, mean=None, ci_low=None, ci_high=None,
            **{f"n_{status}": int(mine.get(status, 0)) for status in COUNTED}, n_prompts=0,
        )  # fmt: skip
        if not row.n_ok:
            yield row, None
            continue
        # A prompt has one category, so that these are its means, too.
        values = (by_prompt if category == ALL else by_prompt.loc[category]).to_numpy(np.float64)
        yield row, statistics.Scores(values, row.n_ok, info.binary, info.low, info.high)


def _of_distribution(one: Distribution) -> Mean:
    return Mean(
        run=one.run, metric=one.metric, category=ALL, mean=one.value, ci_low=one.ci_low,
        ci_high=one.ci_high, n_ok=one.n, n_failed=0, n_skipped=0, n_refused=0, n_missing=0, n_prompts=None,
    )  # fmt: skip


def part_means(runs: Sequence[RunScores], infos: Mapping[str, MetricInfo]) -> list[PartMean]:
    """A row per run, metric and sub-score; the seeds of a prompt are averaged first."""
    rows: list[tuple[str, str, str]] = []
    scores: list[statistics.Scores] = []
    for run in runs:
        found: dict[tuple[str, str], dict[str, list[float]]] = {}
        for prompt_id, metric, part, value in run.parts:
            if metric in infos and metric in run.metrics:
                found.setdefault((metric, part), {}).setdefault(prompt_id, []).append(value)
        for (metric, part), by_prompt in found.items():
            values = np.array([np.mean(one) for one in by_prompt.values()], np.float64)
            count, info = sum(map(len, by_prompt.values())), infos[metric]
            rows.append((run.label, metric, part))
            scores.append(statistics.Scores(values, count, False, info.low, info.high))
    return [
        PartMean(
            run=run, metric=metric, part=part, mean=float(one.mean), ci_low=one.low, ci_high=one.high,
            n_prompts=one.n,
        )
        for (run, metric, part), one in zip(rows, statistics.mean_intervals(scores), strict=True)
    ]  # fmt: skip
