"""Cuts one encoder's windows out of a video's frames, in the decoder process."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.video import Chunk, FrameSelection, Resize
from evals.video.selection import Labels


class WindowCutter:
    """The windows of one encoder in a video of `count` frames at `fps` with hash `video`.

    Raises `DoesNotApply` where the video is too short for the selection.
    """

    def __init__(
        self, frames: FrameSelection, resize: Resize, count: int, fps: float = 8.0, video: str = ""
    ) -> None:
        self.windows = frames.windows(count, fps, video)
        self.labels: Labels = frames.labels(self.windows, fps)
        self._length, self._resize = frames.length, resize
        self._open: dict[int, list[NDArray[Any]]] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, window in enumerate(self.windows):
            for index in window:
                self._wanted.setdefault(index, []).append(number)

    def step(self, chunk: Chunk) -> list[tuple[int, NDArray[Any]]]:
        """Windows (T, H, W, 3) that this chunk completes, each with its number."""
        complete = []
        for offset, frame in enumerate(chunk.new):
            numbers = self._wanted.get(chunk.start + offset)
            if not numbers:
                continue
            resized = self._resize.apply(frame)
            for number in numbers:
                frames = self._open.setdefault(number, [])
                frames.append(resized)
                if len(frames) == self._length:
                    complete.append((number, np.stack(self._open.pop(number))))
        return complete
