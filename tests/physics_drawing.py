"""How the tests' second renderer draws: things over a texture, softened, in unsteady light, with noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]
OVER = 3  # each pixel is drawn as OVER × OVER


@dataclass
class Thing:
    """What is drawn: `xy` (n, 2) centre, `radius` in pixels (half the side of a box), by frame; `seen` by
    frame; `spin` its angle; `rod` (n, 2) where the other end of its rod is."""

    xy: Array
    radius: Array
    colour: Array
    shape: str = "ball"
    spin: Array = field(default_factory=lambda: np.zeros(0))
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    rod: Array | None = None
    stripe: bool = True


@dataclass
class Set:
    """Where a scene plays: sizes, rate, chance."""

    rng: np.random.Generator
    width: int
    height: int
    fps: float
    n: int
    floor: float
    defect: str

    @property
    def t(self) -> Array:
        return np.arange(self.n) / self.fps

    @property
    def short(self) -> int:
        return min(self.width, self.height)

    def is_(self, defect: str) -> bool:
        return self.defect == defect

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def filmed(s: Set, world: str, things: list[Thing], facts: dict[str, float]) -> Frames:
    """Drawn over a texture, softened, lit unsteadily, and with the camera's noise."""
    behind = _texture(s)
    _scenery(s, world, behind, facts)
    noise, blur = s.between(0.8, 3.5), s.between(0.0, 0.8)
    flicker = s.between(0.0, 0.006)
    frames = []
    for k in range(s.n):
        canvas: Any = cv2.resize(behind, None, fx=OVER, fy=OVER, interpolation=cv2.INTER_LINEAR)
        for thing in things:
            if thing.seen[k]:
                _paint(canvas, thing, k)
        image: Any = cv2.resize(canvas, (s.width, s.height), interpolation=cv2.INTER_AREA).astype(np.float64)
        if blur > 0.2:
            image = cv2.GaussianBlur(image, (0, 0), blur)
        image = image * (1 + flicker * s.rng.normal()) + s.rng.normal(0, noise, image.shape)
        frames.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return np.stack(frames)


def _texture(s: Set) -> Frames:
    """A background: clouds, bricks or boards, of a light or middling colour."""
    base = np.array([s.between(120, 215) for _ in range(3)])
    base = 0.6 * base + 0.4 * base.mean()
    image = np.tile(base, (s.height, s.width, 1))
    for scale, depth in ((4, 10), (12, 7), (40, 5)):
        small = s.rng.normal(0, depth, (max(2, s.height * scale // 240), max(2, s.width * scale // 240), 1))
        image += cv2.resize(small, (s.width, s.height), interpolation=cv2.INTER_CUBIC)[..., None]
    kind = int(s.rng.integers(3))
    if kind == 1:
        step = int(s.between(14, 26))
        image[::step] -= 22
        for row in range(0, s.height, step):
            image[row : row + step, (row // step % 2) * step :: 2 * step] -= 18
    elif kind == 2:
        step = int(s.between(18, 34))
        image[:, ::step] -= 25
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _scenery(s: Set, world: str, behind: Frames, facts: dict[str, float]) -> None:
    ground = np.array([s.between(60, 110) for _ in range(3)])
    level = round(s.floor)
    behind[level:] = (0.4 * behind[level:] + 0.6 * ground).astype(np.uint8)
    if world == "rolling":
        foot, long, steep = facts["foot"], facts["long"], facts["slope"]
        top = (foot - long, s.floor - long * np.tan(steep))
        slope = np.array([top, (foot, s.floor), (foot - long, s.floor)], np.int32)
        cv2.fillPoly(behind, [slope], tuple(int(v) for v in ground), cv2.LINE_AA)


def _paint(canvas: Frames, thing: Thing, k: int) -> None:
    scale = 16
    at = tuple(round(v * OVER * scale) for v in thing.xy[k])
    r = float(thing.radius[k]) * OVER
    colour = tuple(int(v) for v in np.clip(thing.colour[k], 0, 255))
    light = tuple(int(v) for v in np.clip(thing.colour[k] * 0.7 + 70, 0, 255))
    if thing.rod is not None:
        end = tuple(round(v * OVER * scale) for v in thing.rod[k])
        cv2.line(canvas, end, at, (70, 66, 60), max(2, round(0.18 * r)), cv2.LINE_AA, 4)
    if thing.shape == "box":
        corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * r * scale + np.array(at)
        cv2.fillPoly(canvas, [corner.round().astype(np.int32)], colour, cv2.LINE_AA, 4)
        inner = np.array([[-0.6, -0.6], [0.1, -0.6], [0.1, 0.1], [-0.6, 0.1]]) * r * scale + np.array(at)
        cv2.fillPoly(canvas, [inner.round().astype(np.int32)], light, cv2.LINE_AA, 4)
        return
    cv2.circle(canvas, at, round(r * scale), colour, cv2.FILLED, cv2.LINE_AA, 4)
    if thing.stripe and r > 8:
        turn = float(thing.spin[k]) if len(thing.spin) else 0.0
        way = np.array([np.cos(turn), np.sin(turn)]) * 0.8 * r * scale
        a, b = (tuple(int(v) for v in np.array(at) + sign * way) for sign in (-1, 1))
        cv2.line(canvas, a, b, light, max(2, round(0.3 * r)), cv2.LINE_AA, 4)
