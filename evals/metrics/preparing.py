"""Metrics with everything they need, found before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals import extractors, metrics
from evals.encoders import Precision, Start, derivations, weights_of
from evals.encoders import create as create_encoder
from evals.encoders.base import Encoder
from evals.encoders.published import locate
from evals.errors import UsageError
from evals.extractors.paired import PAIR_EXTRACTORS, create_pair
from evals.judges import create as create_judge
from evals.metrics.base import DistributionMetric, VideoMetric
from evals.metrics.fidelity import PairMetric
from evals.metrics.needs import Prepared, Recipe, check_text_side, expanded
from evals.records import MetricInfo, Normalization


@dataclass(frozen=True)
class Metrics:
    """Metrics with everything they need, found and ready before any work starts."""

    video: Mapping[str, VideoMetric] = field(default_factory=dict)
    distribution: Mapping[str, DistributionMetric] = field(default_factory=dict)
    pair: Mapping[str, PairMetric] = field(default_factory=dict)
    prepared: Prepared = field(default_factory=Prepared)

    def infos(self, normalization: Normalization, texts: Sequence[str] = ()) -> dict[str, MetricInfo]:
        """Readers' records of all metrics under one normalization, for a run of prompts with these texts."""
        specs = self.prepared.specs(texts)
        both: dict[str, VideoMetric | DistributionMetric] = {**self.video, **self.distribution, **self.pair}
        return {name: metrics.info(name, metric, specs, normalization) for name, metric in both.items()}


def prepare(
    metric_ids: Sequence[str],
    weights: Mapping[str, Path] | None = None,
    precision: Precision = "fp32",
    start: Start = "first",
    judging: Mapping[str, str] | None = None,
) -> Metrics:
    """Find metrics, extractors, weight files and judges. `precision` is that of the encoders; with
    `start="random"` encoders of one clip take a random one; `judging` are the judges' options.

    Raises `UnknownName`, `UsageError` or `WeightsError`; unused `weights` are an error too.
    """
    weights = weights or {}
    made = {name: metrics.create(name) for name in metric_ids}
    needs = {name: expanded(metric) for name, metric in made.items()}
    every = dict.fromkeys(need for found in needs.values() for need in found)
    frames = {need.id: weights_of(need.id, weights) for need in every if need.kind == "frames"}
    encoders: dict[str, Encoder] = {}
    pairs = {n.id: create_pair(n.id).spec for n in every if n.kind == "pair" and n.id in PAIR_EXTRACTORS}
    for need in every:
        of_encoder = need.kind in ("encoder", "text", "texts") or (
            need.kind == "pair" and need.id not in pairs
        )
        if of_encoder and need.id not in encoders:
            encoders[need.id] = create_encoder(need.id, weights, precision, start)
    named = dict.fromkeys(need.id.partition(":")[2] for need in every if need.kind == "answers")
    judges = {name: create_judge(name, judging) for name in named}
    frames |= {judge.pictures: None for judge in judges.values()}
    if judging and not judges:
        raise UsageError("--judge-option: no metric that was asked for asks a judge; name one with --judge")
    for name, found in needs.items():
        for need in found:
            if need.id in encoders:
                check_text_side(name, need, encoders[need.id])
    for name in weights:
        if not any(name in (used, used.rpartition(":")[0]) for used in (*encoders, *frames)):
            raise UsageError(f"--weights {name}: no metric that was asked for uses this encoder")
    for metric in made.values():
        for name in metric.weights:
            locate(name)
    prepared = Prepared(
        frames={name: extractors.create(name, path).spec for name, path in frames.items()},
        weights={name: path for name, path in frames.items() if path is not None},
        encoders=encoders,
        derivations={n.id: derivations.create(n.id, encoders) for n in every if n.kind == "derived"},
        pairs=pairs,
        judges=judges,
        recipe=Recipe(tuple(frames), tuple(encoders), weights, precision, start),
    )
    pair = {name: metric for name, metric in made.items() if isinstance(metric, PairMetric)}
    video = {n: metric for n, metric in made.items() if isinstance(metric, VideoMetric) and n not in pair}
    rest = {name: metric for name, metric in made.items() if isinstance(metric, DistributionMetric)}
    return Metrics(video, rest, pair, prepared)


def prepare_features(recipe: Recipe) -> Prepared:
    """Frame extractors and encoders alone, as another process has prepared them. Raises `UnknownName`,
    `UsageError` or `WeightsError`."""
    found = {name: weights_of(name, recipe.weights) for name in recipe.frames}
    return Prepared(
        frames={name: extractors.create(name, path).spec for name, path in found.items()},
        weights={name: path for name, path in found.items() if path is not None},
        encoders={
            name: create_encoder(name, recipe.weights, recipe.precision, recipe.start)
            for name in recipe.encoders
        },
        recipe=recipe,
    )
