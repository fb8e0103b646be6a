"""Folds: extractors that run inside the decoder process, on every frame, in order.

A fold is made anew for each video, sees every chunk once and gives rows: arrays whose first axis is
time (frames or consecutive pairs). Its rows must not depend on where chunks are cut. It may raise
`DoesNotApply`, which costs its own metrics on that video alone. Folds never import torch.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from evals.features import Rows
from evals.records import Spec
from evals.registry import Registry
from evals.video import Chunk


@runtime_checkable
class Fold(Protocol):
    """`spec` is a class attribute: it names the fold and the version of its numbers."""

    spec: Spec

    def step(self, chunk: Chunk) -> Rows:
        """Rows of the chunk's new frames (or of the pairs that end in them)."""
        ...

    def finish(self) -> Rows:
        """Rows that only the end of the video gives; appended to those of the steps."""
        ...


FOLDS = Registry(
    "fold",
    {
        "difference": "evals.folds.difference:Difference",
        "content": "evals.folds.content:Content",
        "ssim": "evals.folds.ssim:Ssim",
        "colour": "evals.folds.colour:Colour",
        "laplacian": "evals.folds.laplacian:Laplacian",
        "dis": "evals.folds.dis:Dis",
        "dis-between": "evals.folds.between:DisBetween",
        "dis-strided": "evals.folds.dis:DisStrided",
    },
    "evals.folds",
)
