"""What encoders see: windows of frames, sampled by index and resized in the decoder process."""

from __future__ import annotations

from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import model_validator

from evals.errors import DoesNotApply
from evals.records import Record, digest
from evals.video import Chunk, Frames

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_PLAIN = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
EVERY = 1_000_000  # more windows than any video has frames


class Sampling(Record):
    """Which frames an encoder sees and at what size, as data: part of every feature's key.

    At most `windows` windows of `frames` consecutive frames, at the middles of equal intervals (all
    frames where the video has no more), or with `first` one window of the first frames; with `drawn` too it
    starts at a frame drawn by the video's own hash, every one as likely. With `spread`
    there is one window, whose frames stand at the middles of equal intervals of the whole video. With
    `pairs` a window is (first, middle, last) frame of what an optical flow is to join: every two
    neighbours, every two that lie max(1, round(fps/8)) frames apart counted from the first (`strided`),
    and every even frame with the next even one and the frame between them; where there is none between,
    middle and first are the same.

    `shortest` scales the short side and crops the centre, `squash` stretches; `short` scales the short side,
    and only cuts right and bottom to a multiple of `multiple`; `bound` shrinks to a short side of at most
    `height` by area averaging, and enlarges to one of `least`. `bicubic` and `bilinear` are Pillow's,
    antialiased, on uint8. `linear` and `cubic` (a = -0.75) weigh the nearest pixels without antialiasing, in
    float32 and not rounded, as `torch.nn.functional.interpolate` does. With `via` the picture is first
    brought to that square, antialiased bilinear, and then to its size.
    """

    windows: int = 16
    frames: int = 1
    height: int = 224
    width: int = 224
    resize: Literal["shortest", "squash", "short", "bound"] = "shortest"
    interpolation: Literal["bicubic", "bilinear", "linear", "cubic"] = "bicubic"
    spread: bool = False
    first: bool = False
    via: int | None = None
    multiple: int = 1
    least: int = 1
    pairs: bool = False
    drawn: bool = False

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if (self.spread or self.first) and self.windows != 1:
            raise ValueError("the first frames, or frames spread over the video, make one window")
        if self.drawn and not self.first:
            raise ValueError("what is drawn is where the first window starts")
        if self.pairs and self.frames != 3:
            raise ValueError("a pair's window has a first, a middle and a last frame")
        return self

    @property
    def dtype(self) -> str:
        """`uint8`, or `float32` (0 to 255) where resizing does not round."""
        return "float32" if self.interpolation in _PLAIN and self.resize != "bound" else "uint8"

    def indices(self, count: int, fps: float = 8.0, video: str = "") -> list[list[int]]:
        """The frames of every window in a video of `count` frames and hash `video`; `DoesNotApply` if it
        is too short."""
        if self.pairs:
            return _pairs(count, _stride(fps))
        places = count - self.frames + 1
        if places < 1:
            raise DoesNotApply(f"has {count} frames, the encoder needs {self.frames}")
        if self.first:
            start = int(digest(["window", video]), 16) % places if self.drawn else 0
            return [list(range(start, start + self.frames))]
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
        if self.resize == "bound":
            return _bound(frame, self.height, self.least)
        if self.interpolation in _PLAIN:
            return self._plain(frame)
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

    def _plain(self, frame: Frames) -> NDArray[np.float32]:
        tall, wide = frame.shape[:2]
        height, width = self.height, self.width
        if self.resize == "short" or (self.resize == "shortest" and self.interpolation == "cubic"):
            long = int(height * max(tall, wide) / min(tall, wide))  # as torchvision's Resize
            height, width = (long, height) if wide < tall else (height, long)
        elif self.resize == "shortest":
            scale = max(height / tall, width / wide)
            height, width = max(height, round(tall * scale)), max(width, round(wide * scale))
        image = frame.astype(np.float32)
        if (height, width) != (tall, wide):
            how = _PLAIN[self.interpolation]
            image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.float32)
        if self.resize == "short":
            tall, wide = height - height % self.multiple, width - width % self.multiple
            return np.ascontiguousarray(image[:tall, :wide])
        top, left = (height - self.height) / 2, (width - self.width) / 2
        # torchvision's CenterCrop rounds; the protocols on `linear` cut.
        y, x = (round(top), round(left)) if self.interpolation == "cubic" else (int(top), int(left))
        return np.ascontiguousarray(image[y : y + self.height, x : x + self.width])


def _bound(frame: Frames, most: int, least: int) -> Frames:
    short = min(frame.shape[:2])
    side = min(max(short, least), most)
    if side == short:
        return frame
    size = tuple(max(1, round(x * side / short)) for x in (frame.shape[1], frame.shape[0]))
    how = cv2.INTER_AREA if side < short else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)


def _stride(fps: float) -> int:
    return max(1, round(fps / 8))


def _pairs(count: int, stride: int) -> list[list[int]]:
    if count < 2:
        raise DoesNotApply(f"has {count} frames; the flow between frames needs 2")
    near = [[t, t, t + 1] for t in range(count - 1)]
    far = [[t, t, t + stride] for t in range(0, count - stride, stride)] if stride > 1 else []
    between = [[t, t + 1, t + 2] for t in range(0, count - 2, 2)]
    if stride == 2:
        far = []  # the same frames as those with one between
    # In order of their ends, so that few frames wait.
    return sorted(near + far + between, key=lambda w: (w[2], w[0]))


class Sampler:
    """Cuts one encoder's windows out of a video's chunks."""

    def __init__(self, sampling: Sampling, count: int, fps: float = 8.0, video: str = "") -> None:
        self.sampling = sampling
        self.windows = sampling.indices(count, fps, video)
        self._stride = _stride(fps)
        self._open: dict[int, list[NDArray[Any]]] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, window in enumerate(self.windows):
            for index in window:
                self._wanted.setdefault(index, []).append(number)

    def rows(self) -> dict[str, NDArray[np.int64]]:
        """What is to be kept of the windows: `index` of their first frames; of pairs `last`, too, and
        `strided`, whether they are of those that lie a stride apart."""
        index = np.array([window[0] for window in self.windows], np.int64)
        if not self.sampling.pairs:
            return {"index": index}
        last = np.array([window[2] for window in self.windows], np.int64)
        strided = ((last - index == self._stride) & (index % self._stride == 0)).astype(np.int64)
        return {"index": index, "last": last, "strided": strided}

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
