"""Tracks as a derivation: made from stored detections, without the video."""

from __future__ import annotations

from collections.abc import Mapping

from evals.encoders.base import Encoder
from evals.encoders.derivations import Derivation
from evals.errors import UsageError
from evals.records import Need, Spec
from evals.runs.features import Features
from evals.tracking.association import tracks_of
from evals.tracking.tracks import packed

DETECTIONS = Need("frames", "moving")
TRACKS = Need("derived", "tracks:moving")


class Tracks(Derivation):
    """Which detections of different frames are the same thing; see `evals.tracking.tracks`.

    Its argument is the frame extractor of detections: `moving`."""

    def __init__(self, argument: str, encoders: Mapping[str, Encoder]) -> None:
        super().__init__(argument, encoders)
        if argument != DETECTIONS.id:
            raise UsageError(f"tracks are made from the frame extractor 'moving', not from {argument!r}")
        self.spec = Spec(name="tracks", version=1, params={"detections": argument})

    @classmethod
    def inputs(cls, argument: str) -> tuple[Need, ...]:
        return (Need("frames", argument),)

    def derive(self, features: Mapping[Need, Features]) -> Features:
        detections = features[DETECTIONS]
        return packed(tracks_of(detections), detections)
