"""Refusals, failures, time and money as metrics: of samples, whether or not there is a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from evals.compare.run_scores import SCORE_COLUMNS, RunScores
from evals.records import MetricInfo, Role, Spec

FAILED = ("failed", "missing")


def _info(name: str, unit: str, role: Role, source: str, binary: bool) -> MetricInfo:
    return MetricInfo(
        id=name, kind="sample", spec=Spec(name=name), extractors={}, direction="lower", low=0.0,
        high=1.0 if binary else None, unit=unit, binary=binary, source=source, aspect="cost", role=role,
    )  # fmt: skip


REFUSAL = _info("refusal_rate", "share of samples", "primary", "samples that the model refused to make", True)
FAILURE = _info("failure_rate", "share of samples", "primary", "samples without a video, not refused", True)
SECONDS = _info("seconds_per_video", "seconds", "diagnostic", "wall time of generating, as recorded", False)
COST = _info("cost_per_video", "the API's currency", "diagnostic", "as the API or -o price= says", False)


def with_costs(runs: Sequence[RunScores]) -> list[RunScores]:
    """The runs with these metrics. Rates stand there where any of the runs refused or failed."""
    refused, failed = (any(r.samples["status"].isin(s).any() for r in runs) for s in (("refused",), FAILED))
    return [with_rates(run, bool(refused), bool(failed)) for run in runs]


def with_rates(run: RunScores, refused: bool = True, failed: bool = True) -> RunScores:
    """The run with its costs, and with the rates that are asked for."""
    samples = run.samples
    found: list[tuple[MetricInfo, pd.Series[float]]] = []
    if refused:
        found.append((REFUSAL, (samples["status"] == "refused").astype(float)))
    if failed:
        found.append((FAILURE, samples["status"].isin(FAILED).astype(float)))
    for info, column in ((SECONDS, "wall_seconds"), (COST, "cost")):
        if run.mean_of(column) is not None:
            found.append((info, samples[column].astype(float)))
    if not found:
        return run
    tables = [run.scores]
    for info, values in found:
        rows = samples[["prompt_id", "seed", "category"]].assign(
            metric=info.id, status="ok", value=values, reason=None, message="", recorded=True
        )
        tables.append(rows.loc[values.notna(), SCORE_COLUMNS].astype({"value": "float64"}))
    metrics = {**run.metrics, **{info.id: info for info, _ in found}}
    return replace(run, scores=pd.concat(tables, ignore_index=True), metrics=metrics)
