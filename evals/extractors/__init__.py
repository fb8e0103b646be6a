"""Frame extractors: they run inside the decoder process, on every frame of a video, in order.

An id is a name from the table, or `NAME:ARGUMENT` where an extractor takes an argument. Frame extractors
never import torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from evals.errors import UsageError
from evals.records import Spec
from evals.registry import Registry, with_code
from evals.runs.features import Features
from evals.video import Chunk


class FrameExtractor(ABC):
    """Features of one video: arrays whose first axis is time (frames, or pairs of consecutive frames).

    A new one is made for every video. `spec` names it and the version of its numbers; set it on the class, or
    in `__init__` where it depends on the argument in `name` or on `weights` (then put the file's SHA-256 into
    it). Features must not depend on where chunks are cut.
    """

    spec: Spec

    def __init__(self, name: str, weights: Path | None = None) -> None:
        self.name, self.weights = name, weights

    @abstractmethod
    def step(self, chunk: Chunk) -> Features:
        """Features of the chunk's new frames, or of the pairs that end in them.

        Raises `DoesNotApply` where the video cannot have any: this costs the extractor's metrics alone.
        """

    def finish(self) -> Features:
        """Features that only the end of the video gives; they are appended to those of the steps."""
        return {}


FRAME_EXTRACTORS = Registry(
    "frame extractor",
    {
        "artefacts": "evals.extractors.artefacts:Artefacts",
        "difference": "evals.extractors.difference:Difference",
        "content": "evals.extractors.content:Content",
        "ssim": "evals.extractors.ssim:Ssim",
        "colour": "evals.extractors.colour:Colour",
        "laplacian": "evals.extractors.laplacian:Laplacian",
        "dis": "evals.extractors.dis:Dis",
        "dis-between": "evals.extractors.between:DisBetween",
        "dis-strided": "evals.extractors.dis:DisStrided",
        "stills:*": "evals.extractors.stills:Stills",
        "moving": "evals.extractors.moving:Moving",
        "lk-points": "evals.extractors.points:LkPoints",
        "dis-points": "evals.extractors.points:DisPoints",
    },
    "evals.extractors",
)


def create(name: str, weights: Path | None = None) -> FrameExtractor:
    """A frame extractor from its id. Raises `UnknownName`, `UsageError` or `WeightsError`."""
    made = FRAME_EXTRACTORS.get(name)(name, weights)
    if not isinstance(made, FrameExtractor):
        raise UsageError(f"{name} is not a frame extractor: its class does not extend evals.FrameExtractor")
    return with_code(made)
