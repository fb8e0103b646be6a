"""Absolute differences between consecutive frames."""

from __future__ import annotations

import cv2
import numpy as np

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk

BLOCK = 16


class Difference(FrameExtractor):
    """Per pair of frames, in 8-bit levels:

    - `mean`: mean |fₜ − fₜ₊₁| over pixels and channels (an exact integer sum, divided once);
    - `block_max`: the largest such mean over 16×16 blocks, so that a small moving thing counts.
    """

    spec = Spec(name="difference", version=1, params={"block": BLOCK})

    def step(self, chunk: Chunk) -> Features:
        mean, block = [], []
        for i in range(len(chunk.frames) - 1):
            a, b = chunk.frames[i], chunk.frames[i + 1]
            mean.append(cv2.norm(a, b, cv2.NORM_L1) / a.size)
            block.append(_block_max(cv2.absdiff(a, b)))
        return {"mean": np.array(mean, np.float64), "block_max": np.array(block, np.float64)}


def _block_max(difference: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    height, width, channels = difference.shape
    rows = np.add.reduceat(difference, np.arange(0, height, BLOCK), axis=0, dtype=np.int64)
    sums = np.add.reduceat(rows.sum(-1), np.arange(0, width, BLOCK), axis=1)
    tall = np.diff([*range(0, height, BLOCK), height])
    wide = np.diff([*range(0, width, BLOCK), width])
    return float((sums / np.outer(tall, wide)).max() / channels)
