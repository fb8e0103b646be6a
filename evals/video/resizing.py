"""How a frame is brought to the size an encoder takes, as data: part of every feature's key.

Filters `bicubic` and `bilinear` are Pillow's, antialiased, on uint8. `linear` and `cubic` (a = -0.75) weigh
the nearest pixels without antialiasing, in float32 and without rounding, as `torch.nn.functional.interpolate`
does."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from evals.records import Record
from evals.video.reading import Frames

_Scale = Callable[[Frames, int, int], NDArray[Any]]
Filter = Literal["bicubic", "bilinear", "linear", "cubic"]
_PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_PLAIN = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


class _Resize(Record, ABC):
    """Base. `dtype` is that of resized frames: `uint8`, or `float32` from 0 to 255."""

    @property
    def dtype(self) -> str:
        return "float32" if getattr(self, "filter", "") in _PLAIN else "uint8"

    @property
    @abstractmethod
    def largest(self) -> tuple[int, int]:
        """Height and width of the largest frame to plan memory for; a wide one where shapes vary."""

    @abstractmethod
    def apply(self, frame: Frames) -> NDArray[Any]:
        """A frame (H, W, 3) uint8 at its new size."""

    def to_json(self) -> dict[str, Any]:
        """All fields: the defaults of a rule are part of what it is."""
        return self.model_dump(mode="json")


class Stretch(_Resize):
    """To `height` × `width`, whatever the shape was."""

    kind: Literal["stretch"] = "stretch"
    height: int
    width: int
    filter: Filter = "bicubic"

    @property
    def largest(self) -> tuple[int, int]:
        return self.height, self.width

    def apply(self, frame: Frames) -> NDArray[Any]:
        return _scaled(frame, self.height, self.width, self.filter)


class CenterCrop(_Resize):
    """Short side to `short` (default: `side`), then the square of `side` in the middle.

    `rounding` is where the long side and the margins fall between pixels: `torchvision` (its Resize and
    CenterCrop: the long side down, the margin to the nearest even number), `floor` (transformers' image
    processors: both down), or `ceil` (VideoGPT and its descendants: the long side up, the margin down). With
    `via`, first so to a square of that side, bilinear, antialiased, cut down to bytes (cd-fvd's loader)."""

    kind: Literal["center_crop"] = "center_crop"
    side: int
    filter: Filter = "bicubic"
    rounding: Literal["torchvision", "floor", "ceil"] = "torchvision"
    short: int | None = None
    via: int | None = None

    @property
    def largest(self) -> tuple[int, int]:
        return self.side, self.side

    def apply(self, frame: Frames) -> NDArray[Any]:
        if self.via is not None:
            frame = self._cropped(frame, self.via, self.via, _antialiased)
        return self._cropped(frame, self.side, self.short or self.side, partial(_scaled, how=self.filter))

    def _cropped(self, frame: Frames, side: int, short: int, scaled: _Scale) -> NDArray[Any]:
        tall, wide = frame.shape[:2]
        if self.rounding == "ceil":
            scale = short / min(tall, wide)
            long = math.ceil(max(tall, wide) * scale)
            height, width = (short, long) if tall < wide else (long, short)
        else:
            height, width = _short_side(tall, wide, short)
        image = scaled(frame, height, width)
        nearest = self.rounding == "torchvision"
        y, x = (round(m / 2) if nearest else m // 2 for m in (height - side, width - side))
        return np.ascontiguousarray(image[y : y + side, x : x + side])


class ShortSide(_Resize):
    """Short side to `side`; right and bottom are cut to a multiple of `multiple`."""

    kind: Literal["short_side"] = "short_side"
    side: int
    filter: Filter = "linear"
    multiple: int = 1

    @property
    def largest(self) -> tuple[int, int]:
        return self.side, 2 * self.side

    def apply(self, frame: Frames) -> NDArray[Any]:
        height, width = _short_side(frame.shape[0], frame.shape[1], self.side)
        image = _scaled(frame, height, width, self.filter)
        tall, wide = height - height % self.multiple, width - width % self.multiple
        return np.ascontiguousarray(image[:tall, :wide])


class Bounded(_Resize):
    """As it is where the short side lies within `least` and `most`; else shrunk by area averaging or
    enlarged, cubic, to the nearer bound."""

    kind: Literal["bounded"] = "bounded"
    most: int
    least: int = 1

    @property
    def largest(self) -> tuple[int, int]:
        return self.most, 2 * self.most

    def apply(self, frame: Frames) -> NDArray[Any]:
        short = min(frame.shape[:2])
        side = min(max(short, self.least), self.most)
        if side == short:
            return frame
        size = tuple(max(1, round(x * side / short)) for x in (frame.shape[1], frame.shape[0]))
        how = cv2.INTER_AREA if side < short else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)


Resize = Annotated[Stretch | CenterCrop | ShortSide | Bounded, Field(discriminator="kind")]


def shrunk(image: Frames, short_side: int) -> Frames:
    """A picture at most `short_side` pixels on its short side, by area averaging; a smaller one as it is."""
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _short_side(tall: int, wide: int, side: int) -> tuple[int, int]:
    """Height and width with the short side at `side`, as torchvision's Resize has them."""
    return (int(side * tall / wide), side) if wide < tall else (side, int(side * wide / tall))


def _scaled(frame: NDArray[Any], height: int, width: int, how: Filter) -> NDArray[Any]:
    if how in _PLAIN:
        image = frame.astype(np.float32)
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=_PLAIN[how]), np.float32)
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), _PILLOW[how]))


def _antialiased(frame: Frames, height: int, width: int) -> Frames:
    """Bilinear with antialiasing on floating numbers from 0 to 1, then cut down to bytes."""
    channels = [Image.fromarray(frame[..., c].astype(np.float32) / np.float32(255)) for c in range(3)]
    small = [np.asarray(c.resize((width, height), Image.Resampling.BILINEAR)) for c in channels]
    return (np.stack(small, -1) * np.float32(255)).astype(np.uint8)
