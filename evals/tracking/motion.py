"""Histograms of point tracks' motion: what a clip's motion is like, in 768 numbers a window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evals.encoders.base import Encoder
from evals.encoders.derivations import Derivation
from evals.errors import DoesNotApply, Reason
from evals.extractors.points import FRAMES, GRID, SCALE, along, grid
from evals.records import Need, Spec
from evals.runs.features import Features

CELL, STEPS, BINS, LARGEST = 5, 4, 8, 255
CELLS = (FRAMES - 2) // STEPS  # in time; of velocities as of accelerations
SIZE = 2 * CELLS * (GRID // CELL) ** 2 * BINS
POINTS = {"dis": Need("frames", "dis-points"), "lk": Need("frames", "lk-points")}

Array = NDArray[np.float64]


def points_need(flow: str) -> Need:
    """The point tracks of a flow: `dis` and `lk` in the decoder, any other is an encoder's."""
    return POINTS[flow] if flow in POINTS else Need("encoder", f"{flow}:points")


def weights(lengths: Array) -> Array:
    """⌈log₂(min(length, 255) + 1)⌉/8 of lengths in pixels."""
    return np.asarray(np.ceil(np.log2(np.minimum(lengths, LARGEST) + 1)) / 8, np.float64)


def histograms(vectors: Array) -> Array:
    """Directions of vectors (steps, 400, 2), weighted by length, in cells of 4 steps × 5 × 5 points:
    (3 · 4 · 4 · 8,). Directions are atan2(x, y) from −π, in eight bins."""
    used = vectors[: CELLS * STEPS].reshape(CELLS, STEPS, GRID, GRID, 2)
    angle = np.arctan2(used[..., 0], used[..., 1])
    bins = np.clip(np.floor((angle + np.pi) / (2 * np.pi / BINS)), 0, BINS - 1).astype(int)
    weight = weights(np.linalg.norm(used, axis=-1))
    side = GRID // CELL
    time = np.arange(CELLS)[:, None, None, None]
    row = (np.arange(GRID) // CELL)[None, None, :, None]
    column = (np.arange(GRID) // CELL)[None, None, None, :]
    where = ((time * side + row) * side + column) * BINS + bins
    return np.asarray(np.bincount(where.ravel(), weight.ravel(), CELLS * side * side * BINS), np.float64)


def followed(fields: Features) -> Array:
    """Point tracks (w, 16, 400, 2), in pixels at a short side of 256, from an encoder's `flow` (n, cells,
    cells, 2) between neighbours, what is `seen` of it, and the frames' `size`; laid out as those of the
    decoder."""
    flow = np.asarray(fields["flow"], np.float64)
    flow = flow.reshape(-1, *flow.shape[-3:])
    seen = np.asarray(fields["seen"], np.float64).reshape(flow.shape[:3])
    size = np.asarray(fields["size"], np.float64).reshape(-1, 2)[0]
    frames, cells = len(flow) + 1, flow.shape[1]
    starts = list(range(0, frames - FRAMES + 1, FRAMES))
    if frames > FRAMES and frames % FRAMES >= 4:
        starts.append(frames - FRAMES)
    windows = []
    for start in starts:
        at = grid(int(size[0]), int(size[1])).astype(np.float64)
        alive, xy = np.ones(len(at), np.bool_), [at]
        for k in range(start, start + FRAMES - 1):
            # The middle of cell i is at (i + ½) · size / cells − ½ pixels.
            where = ((at + 0.5) * cells / size - 0.5).astype(np.float32)
            there = at + along(np.asarray(flow[k], np.float32), where)
            near = np.clip(np.rint(where).astype(int), 0, cells - 1)
            inside = (there >= 0).all(1) & (there <= size - 1).all(1)
            alive = alive & inside & (seen[k][near[:, 1], near[:, 0]] > 0.5)
            at = np.where(alive[:, None], there, at)
            xy.append(at)
        windows.append(np.stack(xy))
    return np.array(windows).reshape(-1, FRAMES, GRID * GRID, 2) * (SCALE / float(size.min()))


class MotionHistograms(Derivation):
    """`features` (w, 768) of every window of point tracks: the histograms of velocities, then of
    accelerations, as in FVMD (Liu et al. 2024). A point that is lost stays where it was, and counts as
    still."""

    def __init__(self, argument: str, encoders: Mapping[str, Encoder]) -> None:
        super().__init__(argument, encoders)
        self.spec = Spec(
            name="motion-histograms", version=1,
            params={"flow": argument, "cell": [STEPS, CELL, CELL], "bins": BINS, "largest": LARGEST},
        )  # fmt: skip

    @classmethod
    def inputs(cls, argument: str) -> tuple[Need, ...]:
        return (points_need(argument),)

    def derive(self, features: Mapping[Need, Features]) -> Features:
        made = features[self.needs[0]]
        xy = np.asarray(made["xy"], np.float64) if "xy" in made else followed(made)
        if not len(xy):
            raise DoesNotApply(f"motion histograms take {FRAMES} frames", Reason.TOO_FEW_FRAMES)
        found = []
        for window in xy.reshape(-1, FRAMES, GRID * GRID, 2):
            velocity = np.diff(window, axis=0)
            found.append(np.concatenate([histograms(velocity), histograms(np.diff(velocity, axis=0))]))
        return {"features": np.stack(found)}
