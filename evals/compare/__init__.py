"""Several runs to means, paired differences and verdicts.

Means are over prompts (seeds of a prompt averaged first). Differences are paired by (prompt, seed) and tested
by sign flips; p-values of the whole comparison are corrected together (Holm). A sample that failed, was
refused or is missing counts: it lowers the coverage, and below `MIN_COVERAGE` there is no verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evals.compare.cautions import cautions, missing_videos
from evals.compare.distributions import Measuring
from evals.compare.means import means
from evals.compare.pairs import MIN_COVERAGE, paired_differences
from evals.compare.reference import RunReference, Statistics
from evals.compare.results import Comparison, Problem, RunSummary, ScoreNote, without_folders
from evals.compare.run_scores import RunScores, load_runs
from evals.compare.vectors import Match
from evals.errors import UsageError
from evals.records import MetricInfo

__all__ = ["MIN_COVERAGE", "Comparison", "Match", "RunScores", "Statistics", "compare_scores", "load_runs"]

SCORES = ["run", "generator", "prompt_id", "category", "seed", "metric", "status", "value"]
"""Columns of `Comparison.scores` and of `scores.csv`."""


def compare_scores(
    runs: Sequence[RunScores], reference: RunScores | Statistics | None = None, match: Match = "none"
) -> Comparison:
    """Means, paired differences with verdicts, and distribution metrics against a reference: a run, or a file
    of statistics. `match` brings both sides to the same content before a distance is measured.

    Raises `UsageError` for runs without scores.
    """
    if not any(run.metrics for run in runs):
        paths = [str(run.folder.path) for run in runs if run.folder]
        raise UsageError(f"none of these runs has scores; make them first: t2v-evals score {' '.join(paths)}")
    infos: dict[str, MetricInfo] = {}
    for run in runs:
        for name, info in run.metrics.items():
            infos.setdefault(name, info)
    video = [info for info in infos.values() if info.kind == "video"]
    warnings = list(cautions(runs))
    distributions = []
    if reference is not None:
        theirs = RunReference(reference) if isinstance(reference, RunScores) else reference
        warnings += missing_videos([theirs.run]) if isinstance(theirs, RunReference) else []
        measuring = Measuring(theirs, match)
        distributions = measuring.measure(runs, [n for n, i in infos.items() if i.kind == "distribution"])
        warnings += measuring.warnings
    return Comparison(
        normalization=", ".join(sorted({r.normalization for r in runs})),
        runs=tuple(RunSummary.of(run) for run in runs),
        metrics=infos,
        means=tuple(means(runs, video, distributions)),
        pairs=tuple(paired_differences(runs, [info.id for info in video])),
        distributions=tuple(distributions),
        warnings=tuple(w.model_copy(update={"message": without_folders(w.message)}) for w in warnings),
        problems=tuple(problem for run in runs for problem in _problems(run)),
        notes=tuple(
            ScoreNote(run=run.label, prompt_id=p, seed=seed, metric=metric, note=without_folders(note))
            for run in runs
            for p, seed, metric, note in run.notes
        ),
        scores=_scores(runs, [info.id for info in video]),
        sources=tuple(runs),
    )


def _scores(runs: Sequence[RunScores], metrics: Sequence[str]) -> pd.DataFrame:
    """A row per run, sample and video metric, in the order of the runs, their samples and the metrics."""
    order = {name: i for i, name in enumerate(metrics)}
    parts = []
    for run in runs:
        rows = run.scores.assign(run=run.label, generator=run.generator)
        sample = rows.groupby(["prompt_id", "seed"], sort=False).ngroup()
        rank = pd.DataFrame({"sample": sample, "metric": rows["metric"].map(order)})
        parts.append(rows.loc[rank.sort_values(["sample", "metric"], kind="stable").index, SCORES])
    return pd.concat(parts, ignore_index=True)


def _problems(run: RunScores) -> list[Problem]:
    """Every sample and score that is not ok, by sample, with its reason."""
    found = []
    lost = run.samples[run.samples["status"] != "ok"]
    for row in lost.to_dict("records"):
        found.append((row["prompt_id"], row["seed"], "", row["status"], row["reason"], row["message"]))
    scores = run.scores[run.scores["recorded"] & (run.scores["status"] != "ok")]
    for row in scores.to_dict("records"):
        found.append(
            (row["prompt_id"], row["seed"], row["metric"], row["status"], row["reason"], row["message"])
        )
    order = {at: i for i, at in enumerate(zip(run.samples["prompt_id"], run.samples["seed"], strict=True))}
    found.sort(key=lambda one: order[one[0], one[1]])
    return [
        Problem(
            run=run.label,
            prompt_id=p,
            seed=s,
            metric=m,
            status=status,
            reason=reason,
            message=without_folders(message),
        )
        for p, s, m, status, reason, message in found
    ]
