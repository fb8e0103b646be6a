"""What compression and smoothing leave in single frames: edges of blocks, and blur."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, Frames

BLOCK, BLUR = 8, 9
SMALLEST = 2 * BLOCK + 1


class Artefacts(FrameExtractor):
    """Per frame, on 8-bit luma at the video's own size:

    - `edges`: mean absolute difference across the borders of 8 × 8 blocks, and `inside`: that of all other
      neighbours (B and A of Wang, Sheikh & Bovik 2002; both directions together);
    - `blur`: the blur effect of Crete et al. 2007, 0 sharp to 1 blurred: how little of the differences
    between neighbours a mean filter of 9 pixels takes away; the blurrier direction counts. 1 where nothing
    differs.

    A side under 17 pixels holds no block borders: `edges` and `inside` are −1.
    """

    spec = Spec(name="artefacts", version=1, params={"block": BLOCK, "filter": BLUR})

    def step(self, chunk: Chunk) -> Features:
        frames = [_of_frame(grey) for grey in chunk.grey[chunk.lead :]]
        edges, inside, blur = np.array(frames, np.float64).reshape(-1, 3).T
        return {"edges": edges, "inside": inside, "blur": blur}


def _of_frame(grey: Frames) -> tuple[float, float, float]:
    sums = [_borders(np.asarray(side)) for side in (grey, grey.T)]
    blur = max(_blur(grey, axis) for axis in (0, 1))
    if min(grey.shape) < SMALLEST:
        return -1.0, -1.0, blur
    edges, at_edges, inside, elsewhere = (sum(column) for column in zip(*sums, strict=True))
    return edges / at_edges, inside / elsewhere, blur


def _borders(grey: Frames) -> tuple[int, int, int, int]:
    """Sums of absolute differences of neighbours in a row and their numbers: across borders, then
    elsewhere."""
    steps = cv2.absdiff(np.ascontiguousarray(grey[:, 1:]), np.ascontiguousarray(grey[:, :-1]))
    columns = steps.sum(0, dtype=np.int64)
    border = np.arange(1, grey.shape[1]) % BLOCK == 0
    edges, inside = int(columns[border].sum()), int(columns[~border].sum())
    return edges, int(border.sum()) * len(grey), inside, int((~border).sum()) * len(grey)


def _blur(grey: Frames, axis: int) -> float:
    """In one direction: 1 − Σ max(0, |Δf| − |Δ(filtered f)|) / Σ |Δf|."""
    values = grey.astype(np.float32)
    size = (1, BLUR) if axis == 0 else (BLUR, 1)
    smooth = np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT_101), np.float32)
    sharp, blurred = (_steps(v, axis) for v in (values, smooth))
    total = float(sharp.sum(dtype=np.float64))
    if total == 0:
        return 1.0
    return 1.0 - float(np.maximum(0, sharp - blurred).sum(dtype=np.float64)) / total


def _steps(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(np.abs(np.diff(values, axis=axis)), np.float32)
