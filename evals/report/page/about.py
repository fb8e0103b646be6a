"""What a reader is told of a metric: its definition, what it is rewarded by, what it does not detect."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

from evals.errors import EvalsError
from evals.metrics import METRICS
from evals.records import MetricInfo
from evals.report.numbers import number

WAYS = {"higher": "higher is better", "lower": "lower is better", "none": "neither way is better"}
SIDE = {
    "seconds_per_video": "Seconds of wall time that generating a video took.",
    "cost_per_video": "What a video cost, in the API's currency.",
    "refusal_rate": "Share of samples that the generator refused to make.",
    "failure_rate": "Share of samples that failed for any other reason.",
}
"""Measured about samples, not by a metric's class."""


@dataclass(frozen=True)
class About:
    """A metric for its panel: `facts` are pairs of a name and a sentence."""

    number: int
    id: str
    definition: list[str]
    facts: list[tuple[str, str]]


def about(metrics: Mapping[str, MetricInfo]) -> list[About]:
    """Every metric, in order."""
    return [About(i, info.id, _definition(info), _facts(info)) for i, info in enumerate(metrics.values())]


def _definition(info: MetricInfo) -> list[str]:
    """The paragraphs of the metric's documentation, which begin with its formula."""
    base = info.id.partition("[")[0]
    if base in SIDE:
        return [SIDE[base]]
    try:
        found = METRICS.get(base)
    except (EvalsError, ImportError):
        return []  # a plugin's metric, and its file was not given this time
    text = inspect.getdoc(found) or ""
    return [" ".join(part.split()).replace("`", "") for part in text.split("\n\n")]


def _facts(info: MetricInfo) -> list[tuple[str, str]]:
    low, high = (None if x is None else number(x) for x in (info.low, info.high))
    bounds = f"{low or '−∞'} to {high or '∞'}" if low or high else ""
    extractors = ", ".join(f"{need} version {spec.version}" for need, spec in info.extractors.items())
    counts = (
        info.aspect
        if info.role == "primary"
        else f"nothing: a diagnostic of {info.aspect}, without a verdict"
    )
    facts = [
        ("Direction", WAYS[info.direction]),
        ("Range", bounds),
        ("Unit", info.unit),
        ("Counts towards", counts),
        ("Rewarded by", ", ".join(info.rewarded_by)),
        ("Limits", info.note),
        ("Source", info.source),
        ("Version", f"{info.spec.version}" + (f"; on {extractors}" if extractors else "")),
    ]
    return [(name, text) for name, text in facts if text]
