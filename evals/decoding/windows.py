"""What encoders see: windows of frames, sampled by index and resized in the decoder process."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from PIL import Image
from pydantic import model_validator

from evals.errors import DoesNotApply
from evals.records import Record
from evals.video import Chunk, Frames

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class Sampling(Record):
    """Which frames an encoder sees and at what size, as data: part of every feature's key.

    At most `windows` windows of `frames` consecutive frames, at the middles of equal intervals (all
    frames where the video has no more). With `spread` there is one window, whose frames stand at the
    middles of equal intervals of the whole video. Resizing is Pillow's, antialiased, on uint8: `shortest`
    scales the short side and crops the centre, `squash` stretches.
    """

    windows: int = 16
    frames: int = 1
    height: int = 224
    width: int = 224
    resize: Literal["shortest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    spread: bool = False

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if self.spread and self.windows != 1:
            raise ValueError("frames that are spread over the video make one window")
        return self

    def indices(self, count: int) -> list[list[int]]:
        """The frames of every window in a video of `count` frames; `DoesNotApply` if it is too short."""
        places = count - self.frames + 1
        if places < 1:
            raise DoesNotApply(f"has {count} frames, the encoder needs {self.frames}")
        if self.spread:
            return [[(2 * i + 1) * count // (2 * self.frames) for i in range(self.frames)]]
        windows = min(self.windows, places)
        starts = [(2 * i + 1) * places // (2 * windows) for i in range(windows)]
        return [list(range(start, start + self.frames)) for start in starts]

    def prepare(self, frame: Frames) -> Frames:
        """One frame (H, W, 3) to (height, width, 3), as torchvision's Resize and CenterCrop do on PIL."""
        image = Image.fromarray(frame)
        resample = _FILTERS[self.interpolation]
        if self.resize == "squash":
            return np.asarray(image.resize((self.width, self.height), resample))
        wide, tall = image.size
        side = self.height
        if wide < tall:
            size = (side, int(side * tall / wide))
        else:
            size = (int(side * wide / tall), side)
        if size != image.size:
            image = image.resize(size, resample)
        left = round((size[0] - self.width) / 2.0)
        top = round((size[1] - self.height) / 2.0)
        return np.asarray(image.crop((left, top, left + self.width, top + self.height)))


class Sampler:
    """Cuts one encoder's windows out of a video's chunks."""

    def __init__(self, sampling: Sampling, count: int) -> None:
        self.sampling = sampling
        self.windows = sampling.indices(count)
        self.starts = [window[0] for window in self.windows]
        self._open: dict[int, list[Frames]] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, window in enumerate(self.windows):
            for index in window:
                self._wanted.setdefault(index, []).append(number)

    def step(self, chunk: Chunk) -> list[tuple[int, Frames]]:
        """Windows (T, H, W, 3) that this chunk completes, each with its number."""
        complete = []
        for offset, frame in enumerate(chunk.new):
            numbers = self._wanted.get(chunk.start + offset)
            if not numbers:
                continue
            prepared = self.sampling.prepare(frame)
            for number in numbers:
                frames = self._open.setdefault(number, [])
                frames.append(prepared)
                if len(frames) == self.sampling.frames:
                    complete.append((number, np.stack(self._open.pop(number))))
        return complete
