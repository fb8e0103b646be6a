"""Feature vectors of one side of a distance, and making two sides alike in content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np

from evals.compare.run_scores import RunScores
from evals.compare.vector_sets import Vectors
from evals.errors import MetricError, Reason
from evals.metrics.base import DistributionMetric, outside
from evals.metrics.needs import Needs, VideoAndText, recorded_specs
from evals.records import Normalization
from evals.runs.folder import RunFolder

Match = Literal["none", "category", "prompt"]


def vectors_of(run: RunScores, name: str, metric: DistributionMetric) -> Vectors:
    """What a run has, ordered by prompt and seed. What is out of domain is counted and kept: leaving it out
    would favour whoever made it. Metrics that take the same features in the same way share one reading."""
    if name in run.vectors:
        return run.vectors[name]
    info = run.metrics.get(name)
    if info is None or run.folder is None:
        return Vectors()
    specs = recorded_specs(info)
    how = (type(metric).pool, *((need, specs[need].digest) for need in metric.needs))
    if how not in run.read:
        run.read[how] = _read(run, run.folder, metric, Needs(specs, Normalization.parse(run.normalization)))
    return replace(run.read[how])


def _read(run: RunScores, folder: RunFolder, metric: DistributionMetric, needs: Needs) -> Vectors:
    store, found = folder.stored, Vectors()
    for (prompt_id, _), sample in sorted(run.videos.items()):
        prompt = run.prompts[prompt_id]
        of = VideoAndText(str(sample.sha256), prompt.text)
        keys = {need: needs.key(need, of) for need in metric.needs}
        if all(key in store for key in keys.values()):
            features = {need: store.get(key) for need, key in keys.items()}
            pooled = np.atleast_2d(metric.pool(features))
            found.rows += list(pooled)
            found.prompts += [prompt_id] * len(pooled)
            found.categories += [prompt.category] * len(pooled)
            found.hashes += [of.sha256] * len(pooled)
            found.keys += keys.values()
            found.videos += 1
            found.outside += any(outside(one) for one in features.values())
    return found


def matched(ours: Vectors, theirs: Vectors, match: Match) -> tuple[Vectors, Vectors]:
    """Both sides with the same content: the prompts that both have, or the categories that both have in our
    proportions (of the reference as many rows as that allows, the first ones).

    Raises `MetricError` where nothing is shared.
    """
    if match == "none":
        return ours, theirs

    def key(side: Vectors) -> list[str]:
        return side.prompts if match == "prompt" else side.categories

    mine, other = Counter(key(ours)), Counter(key(theirs))
    shared = set(mine) & set(other)
    if not shared:
        raise MetricError(f"--match {match}: both sides have no {match} in common", Reason.NO_SHARED_PROMPT)
    kept = ours.only([i for i, k in enumerate(key(ours)) if k in shared])
    if match == "prompt":
        return kept, theirs.only([i for i, k in enumerate(key(theirs)) if k in shared])
    share = min(other[k] / mine[k] for k in shared)
    left = {k: max(1, int(share * mine[k] + 1e-9)) for k in shared}
    places = []
    for i, k in enumerate(key(theirs)):
        if left.get(k, 0) > 0:
            left[k] -= 1
            places.append(i)
    return kept, theirs.only(places)
