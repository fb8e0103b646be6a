"""How a frame is brought to the size an encoder takes, as data: part of every feature's key.

Filters `bicubic` and `bilinear` are Pillow's, antialiased, on uint8. `linear` and `cubic` (a = -0.75) weigh
the nearest pixels without antialiasing, in float32 and without rounding, as `torch.nn.functional.interpolate`
does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from evals.records import Record
from evals.video.reading import Frames

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
    """Short side to `side`, then the square in the middle. With `via`, first so to a square of that side,
    bilinear and antialiased."""

    kind: Literal["center_crop"] = "center_crop"
    side: int
    filter: Filter = "bicubic"
    via: int | None = None

    @property
    def largest(self) -> tuple[int, int]:
        return self.side, self.side

    def apply(self, frame: Frames) -> NDArray[Any]:
        if self.via is not None:
            frame = CenterCrop(side=self.via, filter="bilinear").apply(frame)
        tall, wide = frame.shape[:2]
        side = self.side
        if self.filter == "linear":  # the protocols of FVD: the long side rounded, the crop cut
            scale = max(side / tall, side / wide)
            height, width = max(side, round(tall * scale)), max(side, round(wide * scale))
        else:
            height, width = _short_side(tall, wide, side)
        image = _scaled(frame, height, width, self.filter)
        top, left = (height - side) / 2, (width - side) / 2
        # torchvision's CenterCrop rounds.
        y, x = (int(top), int(left)) if self.filter == "linear" else (round(top), round(left))
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
