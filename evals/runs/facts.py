"""What decoding finds out about a video beyond its file: when its frames are shown, their size, remarks."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.records import Normalization
from evals.runs.features import FeatureStore, ShardWriter
from evals.runs.keys import facts_key


@dataclass(frozen=True)
class DecodedFacts:
    """`times` (n,): seconds at which the n frames are shown; `fps`, `width` and `height` after normalization;
    `notes`: remarks for every score of the video."""

    times: NDArray[np.float64]
    fps: float
    width: int
    height: int
    notes: tuple[str, ...] = ()


def put_facts(
    store: FeatureStore | ShardWriter, sha256: str, normalization: Normalization, facts: DecodedFacts
) -> None:
    """Collect a video's facts for the store's next commit."""
    shape = np.array([facts.fps, facts.width, facts.height], np.float64)
    notes = np.frombuffer(json.dumps(facts.notes).encode(), np.uint8)
    store.put(facts_key(sha256, normalization), {"times": facts.times, "shape": shape, "notes": notes})


def get_facts(store: FeatureStore, sha256: str, normalization: Normalization) -> DecodedFacts:
    """A video's facts; `KeyError` where there are none."""
    found = store.get(facts_key(sha256, normalization))
    fps, width, height = (float(x) for x in found["shape"])
    notes = tuple(json.loads(found["notes"].tobytes()))
    return DecodedFacts(np.asarray(found["times"], np.float64), fps, int(width), int(height), notes)
