"""What encoders see: windows of frames, sampled by index and resized in the decoder process."""

from __future__ import annotations

from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import model_validator

from evals.errors import DoesNotApply
from evals.records import Record
from evals.video import Chunk, Frames

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class Sampling(Record):
    """Which frames an encoder sees and at what size, as data: part of every feature's key.

    At most `windows` windows of `frames` consecutive frames, at the middles of equal intervals (all
    frames where the video has no more), or with `first` one window of the first frames. With `spread`
    there is one window, whose frames stand at the middles of equal intervals of the whole video.

    `shortest` scales the short side and crops the centre, `squash` stretches. `bicubic` and `bilinear` are
    Pillow's, antialiased, on uint8. `linear` is bilinear between the four nearest pixels without
    antialiasing, in float32 and not rounded, as `torch.nn.functional.interpolate` does by default. With
    `via` the picture is first brought to that square, antialiased bilinear, and then to its size.
    """

    windows: int = 16
    frames: int = 1
    height: int = 224
    width: int = 224
    resize: Literal["shortest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear", "linear"] = "bicubic"
    spread: bool = False
    first: bool = False
    via: int | None = None

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if (self.spread or self.first) and self.windows != 1:
            raise ValueError("the first frames, or frames spread over the video, make one window")
        return self

    @property
    def dtype(self) -> str:
        """`uint8`, or `float32` (0 to 255) where resizing does not round."""
        return "float32" if self.interpolation == "linear" else "uint8"

    def indices(self, count: int) -> list[list[int]]:
        """The frames of every window in a video of `count` frames; `DoesNotApply` if it is too short."""
        places = count - self.frames + 1
        if places < 1:
            raise DoesNotApply(f"has {count} frames, the encoder needs {self.frames}")
        if self.first:
            return [list(range(self.frames))]
        if self.spread:
            return [[(2 * i + 1) * count // (2 * self.frames) for i in range(self.frames)]]
        windows = min(self.windows, places)
        starts = [(2 * i + 1) * places // (2 * windows) for i in range(windows)]
        return [list(range(start, start + self.frames)) for start in starts]

    def prepare(self, frame: Frames) -> NDArray[Any]:
        """One frame (H, W, 3) to (height, width, 3) of `dtype`; with Pillow, as torchvision's Resize and
        CenterCrop do."""
        if self.via is not None:
            small = {"height": self.via, "width": self.via, "via": None, "interpolation": "bilinear"}
            frame = self.model_copy(update={**small, "resize": "shortest"}).prepare(frame)
        if self.interpolation == "linear":
            return self._linear(frame)
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

    def _linear(self, frame: Frames) -> NDArray[np.float32]:
        tall, wide = frame.shape[:2]
        height, width = self.height, self.width
        if self.resize == "shortest":
            scale = max(height / tall, width / wide)
            height, width = max(height, round(tall * scale)), max(width, round(wide * scale))
        image = frame.astype(np.float32)
        if (height, width) != (tall, wide):
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return np.ascontiguousarray(image[top : top + self.height, left : left + self.width])


class Sampler:
    """Cuts one encoder's windows out of a video's chunks."""

    def __init__(self, sampling: Sampling, count: int) -> None:
        self.sampling = sampling
        self.windows = sampling.indices(count)
        self.starts = [window[0] for window in self.windows]
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
            prepared = self.sampling.prepare(frame)
            for number in numbers:
                frames = self._open.setdefault(number, [])
                frames.append(prepared)
                if len(frames) == self.sampling.frames:
                    complete.append((number, np.stack(self._open.pop(number))))
        return complete
