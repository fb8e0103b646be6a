"""Several runs to means, paired differences and verdicts.

Means are over prompts (seeds of a prompt averaged first). Differences are paired by (prompt, seed) and tested
by sign flips; the primary metrics of a pair of runs are corrected together (Holm), so that its verdicts don't
depend on who else is compared. A sample that failed, was refused or is missing counts: a claim must also hold
with its score filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from evals.compare.cautions import cautions, missing_videos, unsuited, without
from evals.compare.costs import with_costs
from evals.compare.decide import decide
from evals.compare.distributions import Measuring
from evals.compare.flips import FLIPS
from evals.compare.judges import judge_uses
from evals.compare.means import means, part_means
from evals.compare.pairs import Estimate, measure
from evals.compare.reference import RunReference, Statistics
from evals.compare.results import (
    Comparison,
    Distribution,
    Pair,
    Problem,
    RunSummary,
    ScoreNote,
    Standing,
    without_folders,
)
from evals.compare.rules import Rules
from evals.compare.run_scores import RunScores, load_runs
from evals.compare.set_pairs import measure_sets
from evals.compare.standings import standing, with_front
from evals.compare.vectors import Match
from evals.errors import UsageError
from evals.records import MetricInfo

__all__ = ["Comparison", "Match", "Rules", "RunScores", "Statistics", "compare_scores", "load_runs"]

SCORES = ["run", "generator", "prompt_id", "category", "seed", "metric", "status", "value"]
"""Columns of `Comparison.scores` and of `scores.csv`."""


def compare_scores(
    runs: Sequence[RunScores],
    reference: RunScores | Statistics | None = None,
    match: Match = "none",
    rules: Rules | None = None,
) -> Comparison:
    """Means, paired differences with verdicts, and distribution metrics against a reference: a run, or a file
    of statistics. `match` brings both sides to the same content before a distance is measured.

    Raises `UsageError` for runs without scores, or rules that don't fit them.
    """
    rules = rules or Rules()
    if not any(run.metrics for run in runs):
        paths = [str(run.folder.path) for run in runs if run.folder]
        raise UsageError(f"none of these runs has scores; make them first: t2v-evals score {' '.join(paths)}")
    left_out = unsuited(runs)
    runs = [without(run, left_out) for run in runs]
    warnings = list(cautions(runs))
    sources, runs = tuple(runs), with_costs(runs)
    known: dict[str, MetricInfo] = {}
    for run in runs:
        for name, info in run.metrics.items():
            known.setdefault(name, info)
    rules.check(runs, known)
    infos = rules.applied(known)
    scored = [info for info in infos.values() if info.kind != "distribution"]
    distributions: list[Distribution] = []
    measuring: Measuring | None = None
    if reference is not None:
        theirs = RunReference(reference) if isinstance(reference, RunScores) else reference
        warnings += missing_videos([theirs.run]) if isinstance(theirs, RunReference) else []
        measuring = Measuring(theirs, match)
        distributions = measuring.measure(runs, [n for n, i in infos.items() if i.kind == "distribution"])
        unlike = measuring.unsuited(distributions)
        left_out += unlike
        infos = {name: info for name, info in infos.items() if name not in unlike}
        distributions = [one for one in distributions if one.metric not in unlike]
        warnings += [w for w in measuring.warnings if w.metric not in unlike]
    pairs = _pairs(runs, infos, measuring, rules)
    standings = _standings(runs, infos, pairs, rules)
    return Comparison(
        normalization=", ".join(sorted({r.normalization for r in runs})),
        runs=tuple(with_front([RunSummary.of(run) for run in runs], standings)),
        metrics=infos,
        means=tuple(means(runs, scored, distributions)),
        pairs=tuple(pairs),
        standings=tuple(standings),
        distributions=tuple(distributions),
        warnings=tuple(w.model_copy(update={"message": without_folders(w.message)}) for w in warnings),
        problems=tuple(problem for run in runs for problem in _problems(run)),
        notes=tuple(
            ScoreNote(run=run.label, prompt_id=p, seed=seed, metric=metric, note=without_folders(note))
            for run in runs
            for p, seed, metric, note in run.notes
        ),
        scores=_scores(sources, [info.id for info in scored if info.kind == "video"]),
        parts=tuple(part_means(runs, infos)),
        judges=tuple(judge_uses(runs, infos)),
        left_out=tuple(left_out),
        baseline=rules.baseline,
        family=rules.family,
        sources=sources,
    )


def _pairs(
    runs: Sequence[RunScores], infos: Mapping[str, MetricInfo], measuring: Measuring | None, rules: Rules
) -> list[Pair]:
    """Every pair of runs on every metric, decided; by metric, then in the order of the runs."""
    order = rules.pairs(runs)
    count = len(infos) * (len(order) if rules.family == "report" else 1)
    flips = max(FLIPS, 400 * count - 1)  # so that the smallest p is far below Holm's first step
    families: list[list[Estimate]] = []
    for a, b in order:
        family = measure(a, b, infos, rules, flips)
        if measuring is not None:
            family += measure_sets(a, b, infos, measuring, rules)
        families.append(family)
    if rules.family == "report":
        families = [[one for family in families for one in family]]
    places = {name: i for i, name in enumerate(infos)}
    decided = [pair for family in families for pair in decide(family)]
    return sorted(decided, key=lambda pair: places[pair.metric])


def _standings(
    runs: Sequence[RunScores], infos: Mapping[str, MetricInfo], pairs: Sequence[Pair], rules: Rules
) -> list[Standing]:
    """One line for every pair of runs."""
    mine: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        mine.setdefault((pair.a, pair.b), []).append(pair)
    return [standing(a, b, infos, mine.get((a.label, b.label), []), rules) for a, b in rules.pairs(runs)]


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
