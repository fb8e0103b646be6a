"""Feature vectors of one side of a distance, and making two sides alike in content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np

from evals.compare.run_scores import RunScores
from evals.compare.vector_sets import Vectors
from evals.errors import MetricError, Reason
from evals.metrics.base import DistributionMetric, Matrix, outside
from evals.metrics.needs import Needs, VideoAndText, recorded_specs
from evals.records import Need, Normalization
from evals.runs.features import Features
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
    """Features are read shard by shard, and stand in the order of samples afterwards."""
    samples = [(at[0], run.videos.sha256(at)) for at in sorted(run.videos)]
    keys = [
        {n: needs.key(n, VideoAndText(sha, run.prompts[p].text)) for n in metric.needs} for p, sha in samples
    ]
    owners: dict[str, list[tuple[int, Need]]] = {}
    for place, mine in enumerate(keys):
        for need, key in mine.items():
            owners.setdefault(key, []).append((place, need))
    waiting: dict[int, dict[Need, Features]] = {}
    pooled: dict[int, tuple[Matrix, bool]] = {}
    for key, features in folder.stored.read(owners):
        for place, need in owners[key]:
            have = waiting.setdefault(place, {})
            have[need] = features
            if len(have) == len(metric.needs):
                is_outside = any(outside(one) for one in have.values())
                pooled[place] = np.atleast_2d(metric.pool(waiting.pop(place))), is_outside
    found = Vectors()
    for place, (prompt_id, sha256) in enumerate(samples):
        if place in pooled:
            rows, is_outside = pooled[place]
            found.rows += list(rows)
            found.prompts += [prompt_id] * len(rows)
            found.categories += [run.prompts[prompt_id].category] * len(rows)
            found.hashes += [sha256] * len(rows)
            found.keys += keys[place].values()
            found.videos += 1
            found.outside += is_outside
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
