"""Distances between the features of a run's videos and a reference's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evals import metrics
from evals.compare.load import LoadedRun, missing_videos
from evals.compare.reference import RunReference, Statistics
from evals.compare.vectors import Match, Vectors, matched, vectors_of
from evals.errors import MetricError, OutOfDomain
from evals.metrics import MomentMetric, SetMetric, SetValue

Reference = RunReference | Statistics


MOST_OUTSIDE = 0.2
OUT = "; out of domain"  # ends the protocol of a row without a value
SETS = [
    "metric", "generator", "reference", "value", "ci_low", "ci_high", "n", "n_reference", "protocol",
]  # fmt: skip


def sets(
    runs: Sequence[LoadedRun],
    reference: Reference | None,
    names: Sequence[str],
    warnings: list[str],
    match: Match = "none",
) -> pd.DataFrame:
    """One row per run and set metric; what could not be computed is said in `warnings`."""
    if reference is not None:
        if isinstance(reference, RunReference):
            warnings += missing_videos([reference.run])
        if all(reference.is_run(run) for run in runs):
            warnings.append(f"{reference.label} is the reference itself: there is nothing to measure")
    how = "" if match == "none" else f"; matched by {match}"
    if isinstance(reference, Statistics) and reference.clips == "drawn":
        how += "; the reference's windows start at drawn frames"
    rows: list[tuple[Any, ...]] = []
    biases: dict[str, list[float]] = defaultdict(list)
    beyond: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names if reference else []:
        metric = metrics.create(name)
        assert isinstance(metric, SetMetric) and reference is not None
        for run in runs:
            if reference.is_run(run) or name not in run.metrics:
                continue
            ours, theirs = vectors_of(run, name, metric), Vectors()
            try:
                reference.check(name, run.metrics[name])
                theirs = reference.vectors(name, metric)
                value = _measure(run, reference, metric, ours, theirs, match)
            except OutOfDomain as error:
                beyond[name, str(error)].append(run.label)
                counts = (len(ours.rows), len(theirs.rows))
                rows.append(
                    (name, run.label, reference.label, None, None, None, *counts,
                     metric.protocol + how + OUT)
                )  # fmt: skip
                continue
            except MetricError as error:
                warnings.append(f"{name}: {run.label} against {reference.label}: {error}")
                continue
            if value.bias is not None:
                biases[name].append(value.bias)
            warnings += [f"{name}: {w}" for w in value.warnings if f"{name}: {w}" not in warnings]
            same = len(set(ours.hashes) & set(theirs.hashes))
            if same:
                warnings.append(
                    f"{name}: {same} videos of {run.label} are in {reference.label} too, byte by byte: the"
                    " distance is smaller by that"
                )
            videos = sum(s.outcome == "ok" for s in run.samples.values())
            if ours.videos < videos:
                warnings.append(
                    f"{name}: {run.label}: {videos - ours.videos} of {videos} videos have no features for it"
                )
            rows.append(
                (name, run.label, reference.label, value.value, value.low, value.high, value.n,
                 value.n_reference, metric.protocol + how)
            )  # fmt: skip
    warnings += [f"{name}: {', '.join(labels)}: {why}" for (name, why), labels in beyond.items()]
    for name, found in biases.items():
        low, high = f"{min(found):.3g}", f"{max(found):.3g}"
        size = low if low == high else f"{low} to {high}"
        warnings.append(f"{name}: of these values about {size} is sample-size bias (jackknife)")
    return pd.DataFrame(rows, columns=SETS)


def _measure(
    run: LoadedRun, reference: Reference, metric: SetMetric, ours: Vectors, theirs: Vectors, match: Match
) -> SetValue:
    total = reference.moments()
    if not theirs.rows and total is not None:
        if not ours.rows:
            raise MetricError(f"{run.label} has no features")
        if match != "none":
            raise MetricError("the reference file holds moments only and cannot be matched")
        if not isinstance(metric, MomentMetric):
            raise MetricError(
                "the reference file holds moments only; build it with --features for this distance"
            )
        return metric.compute_to(np.stack(ours.rows), total)
    for vectors, whose in ((theirs, reference.label), (ours, run.label)):
        if not vectors.rows:
            raise MetricError(f"{whose} has no features")
        if vectors.outside > MOST_OUTSIDE * vectors.videos:
            raise OutOfDomain(
                f"out of domain: {vectors.outside} of {vectors.videos} videos of {whose} are unlike"
                " anything this encoder was made for, and a distance would mean nothing; the `standard`"
                " suite's encoders know real footage"
            )
    ours, theirs = matched(ours, theirs, match)
    return metric.compute(np.stack(ours.rows), np.stack(theirs.rows), (ours.prompts, theirs.prompts))
