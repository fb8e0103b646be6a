"""Several runs to pandas frames and verdicts.

Means are over prompts (seeds of a prompt averaged first). Differences are paired by (prompt, seed) and
tested by sign flips; p-values of the whole comparison are corrected together (Holm). A sample that
failed, was refused or is missing counts: it lowers the coverage, and below `MIN_COVERAGE` there is no
verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evals import statistics
from evals.compare.load import (
    LoadedRun,
    by_prompt,
    load,
    missing_videos,
    outside_videos,
    seed_of,
    skipped_videos,
)
from evals.compare.pairs import MIN_COVERAGE, PAIRS, pairs
from evals.compare.reference import RunReference, Statistics
from evals.compare.sets import SETS, sets
from evals.compare.vectors import Match
from evals.errors import UsageError
from evals.records import MetricInfo, View

__all__ = [
    "MIN_COVERAGE",
    "PAIRS",
    "SCORES",
    "SETS",
    "SUMMARY",
    "Comparison",
    "LoadedRun",
    "Statistics",
    "compare",
    "load",
]

SCORES = ["run", "generator", "prompt_id", "category", "seed", "metric", "status", "value"]
SUMMARY = [
    "generator", "metric", "category", "mean", "ci_low", "ci_high", "n_ok", "n_failed", "n_skipped",
    "n_refused", "n_missing", "n_prompts",
]  # fmt: skip


@dataclass
class Comparison:
    """What `compare` found; the frames' columns are those of the files it is written to."""

    view: str
    runs: list[LoadedRun]
    metrics: dict[str, MetricInfo]
    scores: pd.DataFrame
    summary: pd.DataFrame
    pairs: pd.DataFrame
    sets: pd.DataFrame
    warnings: list[str]
    problems: pd.DataFrame


def compare(
    runs: Sequence[LoadedRun], reference: LoadedRun | Statistics | None = None, match: Match = "none"
) -> Comparison:
    """Summary, paired differences with verdicts, and distances to a reference: a run, or a file of
    statistics; `match` makes both sides alike in content before a distance is measured."""
    infos: dict[str, MetricInfo] = {}
    if not any(run.metrics for run in runs):
        raise UsageError(
            "none of these runs has scores; make them first: t2v-evals score "
            + " ".join(str(run.run.path) for run in runs)
        )
    for run in runs:
        for name, info in run.metrics.items():
            infos.setdefault(name, info)
    video = [n for n, i in infos.items() if i.kind == "video"]
    warnings = list(_warnings(runs))
    names = [n for n, i in infos.items() if i.kind == "set"]
    theirs = RunReference(reference) if isinstance(reference, LoadedRun) else reference
    distances = sets(runs, theirs, names, warnings, match)
    return Comparison(
        view=", ".join(sorted({r.view for r in runs})),
        runs=list(runs),
        metrics=infos,
        scores=_scores(runs, video),
        summary=_summary(runs, video, infos, distances),
        pairs=pairs(runs, video, warnings),
        sets=distances,
        warnings=warnings,
        problems=_problems(runs),
    )


def _scores(runs: Sequence[LoadedRun], video: Sequence[str]) -> pd.DataFrame:
    rows = []
    for run in runs:
        for at in run.run.info.sample_ids():
            category = run.prompts[at[0]].category
            for name in video:
                if name in run.metrics:
                    status, value = run.status(at, name)
                    rows.append((run.label, run.run.info.label, at[0], category, at[1], name, status, value))
    return pd.DataFrame(rows, columns=SCORES)


def _problems(runs: Sequence[LoadedRun]) -> pd.DataFrame:
    """Every sample and score that is not ok, with its reason."""
    rows = []
    for run in runs:
        for at in run.run.info.sample_ids():
            sample = run.samples.get(at)
            if sample is None:
                rows.append((run.label, *at, "", "missing", "was never generated"))
                continue
            if sample.outcome != "ok":
                rows.append((run.label, *at, "", sample.outcome, sample.reason))
            for name, score in run.scores.get(at, {}).items():
                if score.status != "ok":
                    rows.append((run.label, *at, name, score.status, score.reason))
                rows += [(run.label, *at, name, "note", note) for note in score.notes]
    return pd.DataFrame(rows, columns=["run", "prompt_id", "seed", "metric", "status", "reason"])


def _summary(
    runs: Sequence[LoadedRun],
    video: Sequence[str],
    infos: Mapping[str, MetricInfo],
    distances: pd.DataFrame,
) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for run in runs:
        everything = run.run.info.sample_ids()
        categories = sorted({run.prompts[p].category for p, _ in everything})
        for name in [n for n in video if n in run.metrics]:
            for category in ["all", *categories]:
                ids = [at for at in everything if category in ("all", run.prompts[at[0]].category)]
                found = {at: run.status(at, name) for at in ids}
                values = {at: float(v) for at, (s, v) in found.items() if s == "ok" and v is not None}
                counts = [sum(s == k for s, _ in found.values()) for k in COUNTED]
                if values:
                    means = by_prompt(values)
                    seed = seed_of(run.label, name, category)
                    e = statistics.mean_interval(means, seed, len(values), infos[name].binary)
                    shown: tuple[Any, ...] = (e.mean, *_within(e, infos[name]))
                    prompts = e.n
                else:
                    shown, prompts = (None, None, None), 0
                rows.append((run.label, name, category, *shown, *counts, prompts))
    for s in distances.to_dict("records"):
        shown = (s["value"], s["ci_low"], s["ci_high"])
        rows.append((s["generator"], s["metric"], "all", *shown, s["n"], 0, 0, 0, 0, None))
    return pd.DataFrame(rows, columns=SUMMARY)


def _within(e: statistics.Estimate, info: MetricInfo) -> tuple[float | None, float | None]:
    """An interval cut at the ends of the metric's range, which a skewed share can run past."""
    low = e.low if e.low is None or info.low is None else max(e.low, info.low)
    high = e.high if e.high is None or info.high is None else min(e.high, info.high)
    return low, high


COUNTED = ("ok", "failed", "skipped", "refused", "missing")


def _floor(value: float) -> str:
    """A number rounded down to three digits, for a limit that must not be overshot."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / step + 1e-9) * step:.6g}"


def _warnings(runs: Sequence[LoadedRun]) -> Iterable[str]:
    """What a reader must know before believing a difference."""
    view = View.parse(runs[0].view) if runs and len({r.view for r in runs}) == 1 else View()
    facts = {r.label: [s.actual for s in r.samples.values() if s.outcome == "ok" and s.actual] for r in runs}
    shapes = {
        "size": {k: sorted({f"{f.width}×{f.height}" for f in v}) for k, v in facts.items()},
        "fps": {k: sorted({f"{f.fps:g}" for f in v}) for k, v in facts.items()},
        "frames": {k: sorted({str(f.frames) for f in v}) for k, v in facts.items()},
    }
    settled = {"size": view.short_side, "fps": view.fps, "frames": view.seconds}
    if not any(info.temporal for r in runs for info in r.metrics.values()):
        del shapes["fps"], shapes["frames"]  # nothing here looks at time
    differ = [k for k, v in shapes.items() if settled[k] is None and len({tuple(x) for x in v.values()}) > 1]
    everything = [f for v in facts.values() for f in v]
    if differ and everything and len(runs) > 1:
        hint = (
            f"fps={_floor(min(f.fps for f in everything))},"
            f"seconds={_floor(min(f.duration for f in everything))},"
            f"short_side={max(16, min(min(f.width, f.height) for f in everything))}"
        )
        yield (
            f"the runs differ in {', '.join(differ)}, which moves temporal and sharpness metrics by"
            f" itself; to score them alike: t2v-evals score RUN … --normalize {hint}"
        )
    yield from missing_videos(runs)
    yield from skipped_videos(runs)
    yield from outside_videos(runs)
    small = [f for f in everything if view.short_side and min(f.width, f.height) < view.short_side]
    if small:
        yield (
            f"{len(small)} of {len(everything)} videos are smaller than short_side={view.short_side} and were"
            " enlarged, which moves sharpness; choose no more than"
            f" {min(min(f.width, f.height) for f in everything)}"
        )
    few = [r.label for r in runs if len({p for p, _ in r.run.info.sample_ids()}) < statistics.MIN_PROMPTS]
    if few:
        yield f"fewer than {statistics.MIN_PROMPTS} prompts ({', '.join(few)}): no intervals are given"
