"""Whether the frames between others are what motion makes of them: interpolation by optical flow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.extractors import FrameExtractor
from evals.extractors.dis import Dis, FlowField, flow, small
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, Frames


class DisBetween(FrameExtractor):
    """For every odd frame that has one after it, `between_error`: mean absolute difference, 0 to 255, to the
    frame that DIS flow interpolates from its two neighbours (Jiang et al. 2018, eq. 4, at half the time)."""

    spec = Spec(name="dis-between", version=2, params=Dis.spec.params)

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        self._even: tuple[Frames, Frames] | None = None  # RGB and luma at working size
        self._odd: Frames | None = None

    def step(self, chunk: Chunk) -> Features:
        errors = []
        for i in range(chunk.lead, len(chunk.frames)):
            rgb, grey = small(chunk, i)
            if (chunk.start + i - chunk.lead) % 2:
                self._odd = rgb
                continue
            if self._even is not None and self._odd is not None:
                before, grey_before = self._even
                made = halfway(before, rgb, flow(grey_before, grey), flow(grey, grey_before))
                errors.append(float(np.abs(self._odd - made).mean(dtype=np.float64)))
            self._even = (rgb, grey)
        return {"between_error": np.array(errors, np.float64)}


def halfway(a: Frames, b: Frames, there: FlowField, back: FlowField) -> NDArray[np.float32]:
    """The frame in the middle of two (H, W, 3), from the flows between them; see `encoders.warping`."""
    half: FlowField = np.asarray((there - back) / 4, np.float32)
    return np.asarray((_looked_up(a, -half) + _looked_up(b, half)) / 2, np.float32)


def _looked_up(image: Frames, field: FlowField) -> NDArray[np.float32]:
    height, width = field.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    where = (x + field[..., 0], y + field[..., 1])
    found = cv2.remap(image.astype(np.float32), *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)
