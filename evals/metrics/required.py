"""Which published weights metrics need."""

from __future__ import annotations

from collections.abc import Iterable

from evals.encoders import ENCODERS
from evals.encoders.hub import HubModel
from evals.encoders.published import WEIGHTS, WeightFile
from evals.extractors.paired import PAIR_EXTRACTORS
from evals.metrics import create
from evals.metrics.needs import expanded

Published = WeightFile | HubModel


def required(metric_ids: Iterable[str]) -> list[Published]:
    """The published weights of metrics, each once. Raises `UnknownName` or `UsageError` for an id that is
    none."""
    found: dict[str, Published] = {}
    for metric_id in metric_ids:
        metric = create(metric_id)
        for name in metric.weights:
            found[name] = WEIGHTS[name]
        for need in expanded(metric):
            of_pair = need.kind == "pair" and need.id not in PAIR_EXTRACTORS
            if need.kind in ("encoder", "text", "texts") or of_pair:
                published = ENCODERS.get(need.id).published(need.id)
                if published is not None:
                    found[published.name] = published
    return list(found.values())
