"""Frames as pictures: what a judge is shown of a video."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.errors import UsageError
from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, SpreadFrames

QUALITY = 90  # of JPEG
MOST, LEAST_SIDE, MOST_SIDE = 64, 64, 2048
_FORM = re.compile(r"^stills:(\d{1,3})x(\d{2,4})$")


class Stills(FrameExtractor):
    """`stills:COUNTxSIDE`: COUNT frames at the middles of equal intervals of the video, as JPEG whose longer
    side is at most SIDE pixels (area averaging; smaller frames stay as they are). A video of fewer frames
    gives all of them.

    `jpeg` holds the pictures one after the other, `bytes` (n,) their sizes, `index` (n,) their frames."""

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        found = _FORM.match(name)
        if found is None or not (
            1 <= (count := int(found[1])) <= MOST and LEAST_SIDE <= (side := int(found[2])) <= MOST_SIDE
        ):
            raise UsageError(
                f"{name}: write stills:COUNTxSIDE, up to {MOST} frames of {LEAST_SIDE} to {MOST_SIDE} pixels"
            )
        self.count, self.side = count, side
        self.spec = Spec(name="stills", params={"count": count, "side": side, "jpeg": QUALITY})
        self._kept: list[tuple[int, NDArray[np.uint8]]] = []
        self._wanted: set[int] | None = None

    def step(self, chunk: Chunk) -> Features:
        if self._wanted is None:
            count = min(self.count, chunk.total)
            self._wanted = set(SpreadFrames(frames=count).windows(chunk.total)[0])
        for number, frame in enumerate(chunk.new, chunk.start):
            if number in self._wanted:
                self._kept.append((number, self._picture(frame)))
        return {}

    def _picture(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = frame.shape[:2]
        scale = self.side / max(height, width)
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise ValueError(f"frame {width}×{height} cannot be written as JPEG")
        return np.asarray(data, np.uint8).reshape(-1)

    def finish(self) -> Features:
        return {
            "jpeg": np.concatenate([data for _, data in self._kept]),
            "bytes": np.array([len(data) for _, data in self._kept], np.int64),
            "index": np.array([number for number, _ in self._kept], np.int64),
        }
