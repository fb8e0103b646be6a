"""Which frames of a video an encoder gets, as data: part of every feature's key.

A window is a list of frame indices that the encoder takes together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evals.errors import DoesNotApply, Reason
from evals.records import Record, digest

Windows = list[list[int]]
Labels = dict[str, NDArray[np.int64]]


class _Selection(Record, ABC):
    """Base: `length` frames make a window."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Frames in a window."""

    @abstractmethod
    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        """The windows of a video of `count` frames at `fps` with hash `video`, in the order of their last
        frames. Raises `DoesNotApply` if it is too short."""

    def labels(self, windows: Windows, fps: float) -> Labels:
        """What is stored beside the features of the windows: `index`, the first frame of each (n,)."""
        return {"index": np.array([window[0] for window in windows], np.int64)}

    def _places(self, count: int) -> int:
        """How many windows of consecutive frames there are."""
        places = count - self.length + 1
        if places < 1:
            raise DoesNotApply(f"has {count} frames, the encoder needs {self.length}", Reason.TOO_FEW_FRAMES)
        return places

    def to_json(self) -> dict[str, Any]:
        """All fields: the defaults of a selection are part of what it is."""
        return self.model_dump(mode="json")


class FirstFrames(_Selection):
    """One window of `frames` consecutive frames: the first ones, or with `start="random"` from a start that
    is drawn by the video's own hash, every one as likely (a random clip, as StyleGAN-V takes real videos)."""

    kind: Literal["first"] = "first"
    frames: int = 16
    start: Literal["first", "random"] = "first"

    @property
    def length(self) -> int:
        return self.frames

    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        places = self._places(count)
        start = int(digest(["window", video]), 16) % places if self.start == "random" else 0
        return [list(range(start, start + self.frames))]


class SpreadFrames(_Selection):
    """One window of `frames` frames, at the middles of equal intervals of the whole video."""

    kind: Literal["spread"] = "spread"
    frames: int = 16

    @property
    def length(self) -> int:
        return self.frames

    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        self._places(count)
        return [[(2 * i + 1) * count // (2 * self.frames) for i in range(self.frames)]]


class SpacedWindows(_Selection):
    """At most `most` windows of `frames` consecutive frames, at the middles of equal intervals; all windows
    where there are no more, or where `most` is None."""

    kind: Literal["windows"] = "windows"
    most: int | None = 16
    frames: int = 1

    @property
    def length(self) -> int:
        return self.frames

    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        places = self._places(count)
        number = places if self.most is None else min(self.most, places)
        starts = [(2 * i + 1) * places // (2 * number) for i in range(number)]
        return [list(range(start, start + self.frames)) for start in starts]


class SlidingWindows(_Selection):
    """Windows of `frames` consecutive frames, each `stride` frames after the one before; of more than `most`
    those at the middles of equal intervals."""

    kind: Literal["sliding"] = "sliding"
    frames: int = 16
    stride: int = 2
    most: int = 32

    @property
    def length(self) -> int:
        return self.frames

    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        starts = list(range(0, self._places(count), self.stride))
        if len(starts) > self.most:
            starts = [starts[(2 * i + 1) * len(starts) // (2 * self.most)] for i in range(self.most)]
        return [list(range(start, start + self.frames)) for start in starts]


class FlowPairs(_Selection):
    """Windows of (first, middle, last) frame for optical flow between first and last: every two neighbours;
    every two that lie max(1, round(fps/8)) frames apart, counted from the first (`strided`); and every even
    frame with the next even one and the frame between them. Where there is none between, middle and first
    are the same."""

    kind: Literal["pairs"] = "pairs"

    @property
    def length(self) -> int:
        return 3

    def windows(self, count: int, fps: float = 8.0, video: str = "") -> Windows:
        if count < 2:
            raise DoesNotApply(f"has {count} frames; the flow between frames needs 2", Reason.TOO_FEW_FRAMES)
        stride = flow_stride(fps)
        near = [[t, t, t + 1] for t in range(count - 1)]
        far = [[t, t, t + stride] for t in range(0, count - stride, stride)] if stride > 1 else []
        between = [[t, t + 1, t + 2] for t in range(0, count - 2, 2)]
        if stride == 2:
            far = []  # the same frames as those with one between
        return sorted(near + far + between, key=lambda w: (w[2], w[0]))  # so that few frames wait

    def labels(self, windows: Windows, fps: float) -> Labels:
        """`index` and `last`, the first and last frame of each window, and `strided`, 1 where they lie a
        stride apart."""
        found = super().labels(windows, fps)
        index, stride = found["index"], flow_stride(fps)
        last = np.array([window[2] for window in windows], np.int64)
        strided = ((last - index == stride) & (index % stride == 0)).astype(np.int64)
        return {"index": index, "last": last, "strided": strided}


FrameSelection = Annotated[
    FirstFrames | SpreadFrames | SpacedWindows | SlidingWindows | FlowPairs, Field(discriminator="kind")
]
EVERY_FRAME = SpacedWindows(most=None)


def flow_stride(fps: float) -> int:
    """Frames between the two of a strided pair: about an eighth of a second."""
    return max(1, round(fps / 8))
