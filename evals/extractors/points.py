"""Point tracks: a grid of points followed through windows of 16 frames.

Laid out as in FVMD (Liu et al. 2024): 20 × 20 points, 16 frames. They are followed by optical flow here, not
by PIPs++."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.extractors import FrameExtractor
from evals.extractors.camera import followed
from evals.extractors.dis import SHORT_SIDE, FlowField, backward, forward, small, visible
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, Frames

GRID, FRAMES = 20, 16
SCALE = 256.0
SMALLEST = 48  # pixels of the short side
MOST = 60  # windows: of a longer video the first ones

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]


def grid(width: int, height: int) -> Array:
    """GRID × GRID points (n, 2) in pixels, x then y, rows from the top, at the middles of equal cells."""
    x = (np.arange(GRID) + 0.5) * width / GRID - 0.5
    y = (np.arange(GRID) + 0.5) * height / GRID - 0.5
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)


def along(field: FlowField, points: Array) -> Array:
    """The bilinear value (n, 2) of a flow at points, those outside moved to the edge."""
    height, width = field.shape[:2]
    x = np.clip(points[:, 0], 0, width - 1.001)
    y = np.clip(points[:, 1], 0, height - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    u, v = (x - x0)[:, None], (y - y0)[:, None]
    top = field[y0, x0] * (1 - u) + field[y0, x1] * u
    bottom = field[y1, x0] * (1 - u) + field[y1, x1] * u
    return np.asarray(top * (1 - v) + bottom * v, np.float32)


def _texture(grey: Frames, points: Array) -> float:
    """The share of points about which a picture varies by more than two levels."""
    values = grey.astype(np.float32)
    mean, square = cv2.blur(values, (9, 9)), cv2.blur(values * values, (9, 9))
    near = np.rint(points).astype(int)
    return float(np.mean((square - mean * mean)[near[:, 1], near[:, 0]] > 4.0))


class _Points(FrameExtractor):
    """Base: `xy` (w, 16, 400, 2), pixels at a short side of 256, and `kept` (w, 16, 400), 1 as long as a
    point is followed: one that is lost stays where it was. `start` (w,) is the first frame of each window;
    windows follow one another, and the last one ends with the video; there is none under 16 frames, nor under
    48 pixels. `size` (w, 2) is the picture's width and height, `texture` (w,) the share of the points that
    lie on something at the start."""

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        self._history: list[tuple[Frames, FlowField | None, Flags | None]] = []
        self._windows: list[tuple[int, Array, Flags]] = []
        self._texture: list[float] = []
        self._shape: tuple[int, ...] = (0, 0)
        self._seen = 0

    @abstractmethod
    def _remember(self, chunk: Chunk, i: int) -> None:
        """Keep what following points into frame `i` of the chunk takes."""

    @abstractmethod
    def _again(self, k: int, points: Array) -> tuple[Array, Flags]:
        """Where points of remembered frame `k` are in the next one, and which are found there."""

    def step(self, chunk: Chunk) -> Features:
        for i in range(chunk.lead, len(chunk.frames)):
            self._shape = small(chunk, i)[1].shape
            self._remember(chunk, i)
            self._seen += 1
            if self._seen % FRAMES == 0 and len(self._windows) < MOST and min(self._shape) >= SMALLEST:
                self._windows.append(self._window())
        return {}

    def _window(self) -> tuple[int, Array, Flags]:
        """Follow the grid through the last 16 frames remembered."""
        height, width = self._shape
        at = grid(width, height)
        self._texture.append(_texture(self._history[0][0], at))
        xy, kept = [at], [np.ones(len(at), np.bool_)]
        for k in range(FRAMES - 1):
            there, found = self._again(k, at)
            inside = (there >= 0).all(1) & (there[:, 0] <= width - 1) & (there[:, 1] <= height - 1)
            goes = kept[-1] & found & inside
            at = np.where(goes[:, None], there, at).astype(np.float32)
            xy.append(at)
            kept.append(goes)
        scale = SCALE / min(height, width)
        return self._seen - FRAMES, np.stack(xy) * np.float32(scale), np.stack(kept)

    def finish(self) -> Features:
        if self._seen % FRAMES >= 4 and 0 < len(self._windows) < MOST:
            self._windows.append(self._window())
        count = len(self._windows)
        shape = (count, FRAMES, GRID * GRID)
        tall, wide = (side * SCALE / max(1, min(self._shape)) for side in self._shape)
        return {
            "xy": np.array([xy for _, xy, _ in self._windows], np.float32).reshape(*shape, 2),
            "kept": np.array([kept for *_, kept in self._windows], np.uint8).reshape(shape),
            "texture": np.array(self._texture, np.float64),
            "start": np.array([start for start, *_ in self._windows], np.float64),
            "size": np.tile(np.array([wide, tall], np.float64), (count, 1)),
        }


class LkPoints(_Points):
    """Points followed by pyramidal Lucas-Kanade with a check forward and backward; see `_Points`."""

    spec = Spec(
        name="lk-points", version=1, params={"grid": GRID, "frames": FRAMES, "short_side": SHORT_SIDE}
    )

    def _remember(self, chunk: Chunk, i: int) -> None:
        self._history.append((small(chunk, i)[1], None, None))
        del self._history[:-FRAMES]

    def _again(self, k: int, points: Array) -> tuple[Array, Flags]:
        return followed(self._history[k][0], self._history[k + 1][0], points)


class DisPoints(_Points):
    """Points followed by DIS flow where forward and backward flow agree; see `_Points`."""

    spec = Spec(
        name="dis-points", version=1, params={"grid": GRID, "frames": FRAMES, "short_side": SHORT_SIDE}
    )

    def _remember(self, chunk: Chunk, i: int) -> None:
        field, seen = None, None
        if i > 0:
            field = forward(chunk, i - 1)
            seen = visible(field, backward(chunk, i - 1))
        self._history.append((small(chunk, i)[1], field, seen))
        del self._history[:-FRAMES]

    def _again(self, k: int, points: Array) -> tuple[Array, Flags]:
        _, field, seen = self._history[k + 1]
        assert field is not None and seen is not None
        near = np.rint(points).astype(int)
        return points + along(field, points), seen[near[:, 1], near[:, 0]]
