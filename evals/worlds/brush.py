"""Drawing in metres: filled shapes with soft edges on a canvas that a camera looks at.

Everything is drawn at twice the size and averaged down. Colours are RGB, 0–255; y points up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.video import Frames

Colour = tuple[float, float, float]
Points = NDArray[np.float64]
Point = tuple[float, float]

SUPERSAMPLE = 2
_SHIFT = 4

COLOURS: dict[str, Colour] = {
    "red": (204, 42, 38), "orange": (236, 130, 36), "yellow": (244, 208, 52), "green": (62, 148, 62),
    "blue": (44, 92, 196), "pink": (238, 140, 176), "brown": (126, 80, 44), "black": (42, 40, 44),
    "white": (240, 240, 236), "grey": (134, 136, 140), "silver": (190, 196, 206), "golden": (214, 164, 62),
    "purple": (128, 62, 160),
}  # fmt: skip


def tint(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter (towards white) above."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    share = min(1.0, factor - 1)
    return mix(colour, (255.0, 255.0, 255.0), share)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with a share of `b`."""
    r, g, c = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return (r, g, c)


def rotated(points: Points, angle: float) -> Points:
    """Points turned counter-clockwise about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]), np.float64)


def circle(rx: float, ry: float | None = None, n: int = 28) -> Points:
    """An ellipse about the origin as a polygon."""
    turn = np.arange(n) * (2 * np.pi / n)
    return np.stack([rx * np.cos(turn), (rx if ry is None else ry) * np.sin(turn)], 1)


def smooth(points: Points, rounds: int = 2) -> Points:
    """A closed outline with its corners cut (Chaikin 1974)."""
    for _ in range(rounds):
        following = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1)
        points = points.reshape(-1, 2)
    return points


@dataclass(frozen=True)
class Camera:
    """What part of the world is seen: its centre, and its height in metres."""

    x: float
    y: float
    height: float


class Canvas:
    """An image of the world, seen through a camera."""

    def __init__(self, width: int, height: int, camera: Camera, image: Frames | None = None) -> None:
        size = (height * SUPERSAMPLE, width * SUPERSAMPLE)
        self.image = np.zeros((*size, 3), np.uint8) if image is None else image
        self.scale = size[0] / camera.height
        self.left = camera.x - size[1] / self.scale / 2
        self.top = camera.y + camera.height / 2

    @property
    def right(self) -> float:
        return float(self.left + self.image.shape[1] / self.scale)

    def pixels(self, points: Points) -> NDArray[np.int32]:
        """Metres to fixed-point pixels."""
        xy = np.stack([points[:, 0] - self.left, self.top - points[:, 1]], 1) * (self.scale * 2**_SHIFT)
        return np.asarray(np.rint(np.clip(xy, -(2**27), 2**27)), np.int32)

    def polygon(self, points: Points, colour: Colour) -> None:
        """A filled outline (n, 2)."""
        cv2.fillPoly(self.image, [self.pixels(points)], _rgb(colour), cv2.LINE_AA, _SHIFT)

    def shaded(self, points: Points, colour: Colour, light: float = 1.22) -> None:
        """A filled outline with a darker rim below and a light upper left."""
        centre = points.mean(0)
        size = float(np.abs(points - centre).max())
        self.polygon(points, tint(colour, 0.78))
        self.polygon(centre + (points - centre) * 0.9 + size * np.array([-0.04, 0.06]), colour)
        self.polygon(
            centre + (points - centre) * 0.5 + size * np.array([-0.16, 0.22]),
            mix(colour, tint(colour, light), 0.6),
        )

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        self.polygon(circle(radius) + np.array(centre), colour)

    def line(self, points: Sequence[Point] | Points, width: float, colour: Colour) -> None:
        """A stroke with round ends through the points; `width` in metres."""
        thickness = max(1, round(width * self.scale))
        pixels = self.pixels(np.asarray(points, np.float64))
        cv2.polylines(self.image, [pixels], False, _rgb(colour), thickness, cv2.LINE_AA, _SHIFT)

    def limb(self, a: Point, b: Point, wide: float, narrow: float, colour: Colour) -> None:
        """A tapering capsule from `a` (diameter `wide`) to `b` (diameter `narrow`)."""
        pa, pb = np.array(a), np.array(b)
        along = pb - pa
        length = float(np.hypot(*along))
        if length < 1e-9:
            self.disc(a, wide / 2, colour)
            return
        turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
        start = np.stack([np.cos(turn), np.sin(turn)], 1) * wide / 2
        end = -np.stack([np.cos(turn), np.sin(turn)], 1) * narrow / 2 + np.array([length, 0])
        outline = rotated(np.concatenate([start, end]), float(np.arctan2(along[1], along[0])))
        self.polygon(outline + pa, colour)

    def veil(self, points: Points, colour: Colour, opacity: float) -> None:
        """A see-through filled outline: shadows, water, glass."""
        pixels = self.pixels(points)
        low = np.maximum(pixels.min(0) // 2**_SHIFT - 1, 0)
        high = pixels.max(0) // 2**_SHIFT + 2
        part = self.image[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(mask, [pixels - low * 2**_SHIFT], 255, cv2.LINE_AA, _SHIFT)
        share = (mask * np.float32(opacity / 255))[..., None]
        part[:] = np.rint(part + (np.array(colour, np.float32) - part) * share)

    def shadow(self, x: float, y: float, half_width: float, opacity: float = 0.3) -> None:
        """A contact shadow on the ground."""
        self.veil(circle(half_width, half_width * 0.22) + np.array([x, y]), (20.0, 24.0, 30.0), opacity)

    def finished(self) -> Frames:
        """The image at its real size."""
        height, width = (n // SUPERSAMPLE for n in self.image.shape[:2])
        return np.asarray(cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA))


def _rgb(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (round(min(255.0, max(0.0, c))) for c in colour)
    return (r, g, b)
