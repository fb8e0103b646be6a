"""What a judge is shown of videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evals import extractors
from evals.decoding.resources import Resources
from evals.executors import LocalExecutor, Problem, Source
from evals.extract import Hooks, extract_features
from evals.judges.base import Judge, Sight
from evals.metrics.needs import Needs, Prepared, VideoAndText
from evals.records import Need, Normalization
from evals.runs.facts import get_facts
from evals.runs.features import FeatureStore


class Sights:
    """What a judge is shown of videos, from their stored stills."""

    def __init__(self, judge: Judge, store: FeatureStore, normalization: Normalization) -> None:
        self._need, self._store, self._normalization = Need("frames", judge.pictures), store, normalization
        self._spec = _stills(judge).frames
        self._needs = Needs(_stills(judge).specs(), normalization)

    def of(self, sha256: str) -> Sight | None:
        """The frames of a video, None where there are none."""
        try:
            found = self._store.get(self._needs.key(self._need, VideoAndText(sha256)))
            times = get_facts(self._store, sha256, self._normalization).times
        except KeyError:
            return None
        ends = np.cumsum(found["bytes"])
        data = found["jpeg"].tobytes()
        starts = [0, *ends[:-1]]
        pictures = tuple(data[int(a) : int(b)] for a, b in zip(starts, ends, strict=True))
        return Sight(pictures, tuple(round(float(times[i]), 3) for i in found["index"]))

    def extract(self, places: Mapping[str, Path], resources: Resources) -> dict[str, str]:
        """Bring the stills of videos, by SHA-256, into the store; gives why some have none."""
        sources = [
            Source(sha256, path) for sha256, path in places.items()
            if self._needs.key(self._need, VideoAndText(sha256)) not in self._store
        ]  # fmt: skip
        problems: dict[str, str] = {}

        def note(source: Source, found: Mapping[Need, Problem]) -> None:
            if self._need in found:
                problems[source.sha256] = found[self._need].message

        if sources:
            extract_features(
                sources, Prepared(frames=self._spec), self._store, self._normalization,
                LocalExecutor(resources, "cpu"), Hooks(note),
            )  # fmt: skip
        return problems


def _stills(judge: Judge) -> Prepared:
    return Prepared(frames={judge.pictures: extractors.create(judge.pictures).spec})
