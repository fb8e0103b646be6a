"""How much the picture's content changes: the signal behind cut detection."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk


class Content(FrameExtractor):
    """Per pair of frames, `hsv`: the mean over hue, saturation and value of mean |Δ|, in 8-bit levels.

    This is the content value of PySceneDetect's `ContentDetector` with its default weights (hue in
    OpenCV's 0–179).
    """

    spec = Spec(name="content", version=1)

    def step(self, chunk: Chunk) -> Features:
        hsv = [cv2.cvtColor(f, cv2.COLOR_RGB2HSV) for f in chunk.frames]
        values = [cv2.norm(a, b, cv2.NORM_L1) / a.size for a, b in pairwise(hsv)]
        return {"hsv": np.array(values, np.float64)}
