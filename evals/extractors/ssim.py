"""Structural similarity of consecutive frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.errors import DoesNotApply, Reason
from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

Plane = NDArray[np.float64]


def _blur(image: Plane) -> Plane:
    half = WINDOW // 2
    blurred = cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred[half:-half, half:-half], np.float64)


class Ssim(FrameExtractor):
    """Per pair of frames, `ssim` on 8-bit luma (Wang et al. 2004: Gaussian window 11, σ 1.5, K 0.01 and
    0.03, mean over the positions where the window fits). Needs at least 11×11 pixels."""

    spec = Spec(name="ssim", version=1)

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        self._last: tuple[Plane, Plane, Plane] | None = None

    def step(self, chunk: Chunk) -> Features:
        height, width = chunk.frames.shape[1:3]
        if min(height, width) < WINDOW:
            raise DoesNotApply(
                f"{width}×{height} pixels; SSIM's window is {WINDOW}×{WINDOW}", Reason.TOO_SMALL
            )
        values = []
        for grey in chunk.grey[chunk.lead :]:
            image = grey.astype(np.float64)
            mean = _blur(image)
            now = (image, mean, _blur(image * image) - mean * mean)
            if self._last is not None:
                values.append(_ssim(self._last, now))
            self._last = now
        return {"ssim": np.array(values, np.float64)}


def luma_ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """SSIM of two pictures (H, W, 3) uint8 RGB on 8-bit luma, at least 11×11 pixels."""
    planes = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (a, b)]
    first, second = ((x, mean := _blur(x), _blur(x * x) - mean * mean) for x in planes)
    return _ssim(first, second)


def _ssim(a: tuple[Plane, Plane, Plane], b: tuple[Plane, Plane, Plane]) -> float:
    (x, mx, vx), (y, my, vy) = a, b
    product = mx * my
    covariance = _blur(x * y) - product
    top = (2 * product + C1) * (2 * covariance + C2)
    bottom = (mx * mx + my * my + C1) * (vx + vy + C2)
    return float((top / bottom).mean())
