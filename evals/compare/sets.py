"""Distances between the features of a run's videos and a reference's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals import metrics
from evals.compare.load import LoadedRun, missing_videos, why_not_comparable
from evals.errors import MetricError
from evals.extract import feature_key
from evals.features import FeatureStore
from evals.metrics import SetMetric, SetValue
from evals.records import View

SETS = [
    "metric", "generator", "reference", "value", "ci_low", "ci_high", "n", "n_reference", "protocol",
]  # fmt: skip


def sets(
    runs: Sequence[LoadedRun], reference: LoadedRun | None, names: Sequence[str], warnings: list[str]
) -> pd.DataFrame:
    """One row per run and set metric; what could not be computed is said in `warnings`."""
    if names and reference is None:
        warnings.append(f"{', '.join(names)}: needs --reference RUN or FOLDER")
    if reference is not None:
        warnings += missing_videos([reference])
        if all(run.run.path.resolve() == reference.run.path.resolve() for run in runs):
            warnings.append(f"{reference.label} is the reference itself: there is nothing to measure")
    rows = []
    for name in names if reference else []:
        metric = metrics.create(name)
        assert isinstance(metric, SetMetric) and reference is not None
        theirs = _matrix(reference, name, metric)
        for run in runs:
            if run.run.path.resolve() == reference.run.path.resolve() or name not in run.metrics:
                continue
            try:
                value = _measure(run, reference, name, metric, theirs)
            except MetricError as error:
                warnings.append(f"{name}: {run.label} against {reference.label}: {error}")
                continue
            warnings += [f"{name}: {w}" for w in value.warnings if f"{name}: {w}" not in warnings]
            videos = sum(s.outcome == "ok" for s in run.samples.values())
            if value.n < videos:
                warnings.append(
                    f"{name}: {run.label}: {videos - value.n} of {videos} videos have no features for it"
                )
            rows.append(
                (name, run.label, reference.label, value.value, None, None, value.n, value.n_reference,
                 metric.protocol)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=SETS)


def _measure(
    run: LoadedRun,
    reference: LoadedRun,
    name: str,
    metric: SetMetric,
    theirs: NDArray[np.float64] | None,
) -> SetValue:
    known = reference.metrics.get(name)
    if known is None:
        raise MetricError("the reference was not scored with it")
    if known.digest != run.metrics[name].digest:
        raise MetricError(f"not comparable: {why_not_comparable(run.metrics[name], known)}")
    ours = _matrix(run, name, metric)
    if ours is None or theirs is None:
        raise MetricError(f"{'the reference' if theirs is None else 'the run'} has no features")
    return metric.compute(ours, theirs)


def _matrix(run: LoadedRun, name: str, metric: SetMetric) -> NDArray[np.float64] | None:
    """Feature vectors (n, d) of a run's videos, ordered by prompt and seed; None where there are none."""
    info = run.metrics.get(name)
    if info is None:
        return None
    store = FeatureStore(run.run.features)
    vectors = []
    for _, sample in sorted(run.samples.items()):
        if sample.outcome != "ok" or sample.sha256 is None:
            continue
        view = View.parse(run.view)
        keys = {need: feature_key(sample.sha256, spec, view) for need, spec in info.extractors.items()}
        if all(key in store for key in keys.values()):
            vectors.append(metric.pool({need: store.get(key) for need, key in keys.items()}))
    return np.stack(vectors) if vectors else None
