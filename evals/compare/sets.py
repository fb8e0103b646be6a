"""Distances between the features of a run's videos and a reference's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals import metrics
from evals.compare.load import LoadedRun, missing_videos, why_not_comparable
from evals.errors import MetricError, OutOfDomain
from evals.extract import feature_key
from evals.features import FeatureStore
from evals.metrics import SetMetric, SetValue, outside
from evals.records import View


@dataclass
class Vectors:
    """Feature vectors (d,) of a run's videos, their prompts' ids, and how many are out of domain."""

    rows: list[NDArray[np.float64]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    outside: int = 0
    videos: int = 0


MOST_OUTSIDE = 0.2
OUT = "; out of domain"  # ends the protocol of a row without a value
SETS = [
    "metric", "generator", "reference", "value", "ci_low", "ci_high", "n", "n_reference", "protocol",
]  # fmt: skip


def sets(
    runs: Sequence[LoadedRun], reference: LoadedRun | None, names: Sequence[str], warnings: list[str]
) -> pd.DataFrame:
    """One row per run and set metric; what could not be computed is said in `warnings`."""
    if reference is not None:
        warnings += missing_videos([reference])
        if all(run.run.path.resolve() == reference.run.path.resolve() for run in runs):
            warnings.append(f"{reference.label} is the reference itself: there is nothing to measure")
    rows: list[tuple[Any, ...]] = []
    beyond: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names if reference else []:
        metric = metrics.create(name)
        assert isinstance(metric, SetMetric) and reference is not None
        theirs = vectors_of(reference, name, metric)
        for run in runs:
            if run.run.path.resolve() == reference.run.path.resolve() or name not in run.metrics:
                continue
            ours = vectors_of(run, name, metric)
            try:
                value = _measure(run, reference, name, metric, ours, theirs)
            except OutOfDomain as error:
                beyond[name, str(error)].append(run.label)
                counts = (len(ours.rows), len(theirs.rows))
                rows.append(
                    (name, run.label, reference.label, None, None, None, *counts,
                     metric.protocol + OUT)
                )  # fmt: skip
                continue
            except MetricError as error:
                warnings.append(f"{name}: {run.label} against {reference.label}: {error}")
                continue
            warnings += [f"{name}: {w}" for w in value.warnings if f"{name}: {w}" not in warnings]
            videos = sum(s.outcome == "ok" for s in run.samples.values())
            if ours.videos < videos:
                warnings.append(
                    f"{name}: {run.label}: {videos - ours.videos} of {videos} videos have no features for it"
                )
            rows.append(
                (name, run.label, reference.label, value.value, value.low, value.high, value.n,
                 value.n_reference, metric.protocol)
            )  # fmt: skip
    warnings += [f"{name}: {', '.join(labels)}: {why}" for (name, why), labels in beyond.items()]
    return pd.DataFrame(rows, columns=SETS)


def _measure(
    run: LoadedRun,
    reference: LoadedRun,
    name: str,
    metric: SetMetric,
    ours: Vectors,
    theirs: Vectors,
) -> SetValue:
    known = reference.metrics.get(name)
    if known is None:
        raise MetricError("the reference was not scored with it")
    if known.digest != run.metrics[name].digest:
        raise MetricError(f"not comparable: {why_not_comparable(run.metrics[name], known)}")
    for vectors, whose in ((theirs, reference.label), (ours, run.label)):
        if not vectors.rows:
            raise MetricError(f"{whose} has no features")
        if vectors.outside > MOST_OUTSIDE * vectors.videos:
            raise OutOfDomain(
                f"out of domain: {vectors.outside} of {vectors.videos} videos of {whose} are unlike"
                " anything this encoder was made for, and a distance would mean nothing; the `standard`"
                " suite's encoders know real footage"
            )
    return metric.compute(np.stack(ours.rows), np.stack(theirs.rows), (ours.prompts, theirs.prompts))


def vectors_of(run: LoadedRun, name: str, metric: SetMetric) -> Vectors:
    """What a run has, ordered by prompt and seed. What is out of domain is counted and kept: leaving it out
    would flatter whoever made it."""
    info = run.metrics.get(name)
    found = Vectors()
    if info is None:
        return found
    store = FeatureStore(run.run.features)
    for (prompt_id, _), sample in sorted(run.samples.items()):
        if sample.outcome != "ok" or sample.sha256 is None:
            continue
        view = View.parse(run.view)
        keys = {need: feature_key(sample.sha256, spec, view) for need, spec in info.extractors.items()}
        if all(key in store for key in keys.values()):
            rows = {need: store.get(key) for need, key in keys.items()}
            pooled = np.atleast_2d(metric.pool(rows))
            found.rows += list(pooled)
            found.prompts += [prompt_id] * len(pooled)
            found.videos += 1
            found.outside += any(outside(r) for r in rows.values())
    return found
