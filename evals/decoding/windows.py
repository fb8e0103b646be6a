"""An encoder's windows of a video: which frames they hold, and how they are put together.

The decoder process resizes each frame that some window holds once, however many windows and encoders take it
at this size, and sends it once; windows are put together where they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.video import Chunk, FrameSelection, Resize
from evals.video.selection import Labels, Windows

Numbered = tuple[int, NDArray[Any]]


class Assembly:
    """Puts windows together from frames, which come in order, each once."""

    def __init__(self, windows: Windows) -> None:
        self._lengths = [len(window) for window in windows]
        self._open: dict[int, list[NDArray[Any]]] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, window in enumerate(windows):
            for index in window:
                self._wanted.setdefault(index, []).append(number)

    def __contains__(self, index: int) -> bool:
        """Whether a window holds this frame."""
        return index in self._wanted

    def add(self, index: int, frame: NDArray[Any]) -> list[Numbered]:
        """Take a frame (H, W, 3); gives the windows (T, H, W, 3) that it completes, each with its number."""
        complete = []
        kept: NDArray[Any] | None = None
        for number in self._wanted.get(index, ()):
            frames = self._open.setdefault(number, [])
            if len(frames) + 1 == self._lengths[number]:
                complete.append((number, np.stack([*self._open.pop(number), frame])))
            else:  # a copy of what waits: the frame may be a part of a large message
                kept = frame.copy() if kept is None else kept
                frames.append(kept)
        return complete


class WindowCutter:
    """The windows of one encoder in a video of `count` frames at `fps` with hash `video`.

    Raises `DoesNotApply` where the video is too short for the selection.
    """

    def __init__(
        self, frames: FrameSelection, resize: Resize, count: int, fps: float = 8.0, video: str = ""
    ) -> None:
        self.windows = frames.windows(count, fps, video)
        self.labels: Labels = frames.labels(self.windows, fps)
        self.resize, self.assembly = resize, Assembly(self.windows)

    def step(self, chunk: Chunk) -> list[Numbered]:
        """Windows (T, H, W, 3) that this chunk completes, each with its number."""
        complete = []
        for index, frame in resized(chunk, [self]):
            complete += self.assembly.add(index, frame)
        return complete


def alike(cutters: Iterable[tuple[str, WindowCutter]]) -> list[list[str]]:
    """Names of the cutters that resize frames in the same way, group by group."""
    groups: dict[str, list[str]] = {}
    for name, cutter in cutters:
        groups.setdefault(repr(cutter.resize.to_json()), []).append(name)
    return list(groups.values())


def resized(chunk: Chunk, cutters: Sequence[WindowCutter]) -> list[Numbered]:
    """Each new frame that a window of some cutter holds, resized once, with its index; all cutters resize
    alike."""
    return [
        (index, cutters[0].resize.apply(frame))
        for index, frame in enumerate(chunk.new, chunk.start)
        if any(index in cutter.assembly for cutter in cutters)
    ]
