"""Whether the camera stands still, and frames brought into line where it does not.

The motion of the picture as a whole is a similarity from corners followed between frames (pyramidal
Lucas-Kanade) and RANSAC. A still camera is recognized first, so that a scene with little texture is not
brought into line with the thing that moves in it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.video import Frames

STILL = 0.4  # pixels between neighbours, and twice that over the whole clip
WINDOW, LEVELS = (15, 15), 3
CELLS, TEXTURE = (9, 12), 5e-6
LEAST, SHARE = 12, 0.5
FARTHEST, ZOOM = 0.5, 1.5  # of a side, and the largest change of scale, that can still be compared
CHANGED, FEW, MANY = 12, 0.05, 0.25
"""Grey levels, the share of pixels that change by more where only things move, and where that is no longer
likely."""

Matrix = NDArray[np.float64]


class Camera(IntEnum):
    """`STILL`, `STEADIED` (moved, and the frames are in line), `LOST` (its motion is unknown or too far)."""

    STILL = 0
    STEADIED = 1
    LOST = 2


@dataclass(frozen=True)
class Steadied:
    """Frames (n, H, W, 3) in line with the middle one; `inside` (n, H, W) tells real pixels from filled
    ones, None where all are real; `matrices` (n, 2, 3) take a frame's pixels to where they are shown."""

    camera: Camera
    frames: Frames
    inside: NDArray[np.bool_] | None
    matrices: Matrix


def followed(
    a: Frames, b: Frames, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (n, 2) of grey image `a` are in `b`, by pyramidal Lucas-Kanade (Bouguet 2001), and which
    of them come back to within half a pixel when followed the other way."""
    start = np.ascontiguousarray(points, np.float32).reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, start, start.copy(), winSize=WINDOW, maxLevel=LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(b, a, there, start.copy(), winSize=WINDOW, maxLevel=LEVELS)
    apart = np.abs(back - start).reshape(-1, 2).max(1)
    kept = (found.ravel() == 1) & (again.ravel() == 1) & (apart < 0.5)
    return np.asarray(there.reshape(-1, 2), np.float32), np.asarray(kept, np.bool_)


def _corners(grey: Frames) -> NDArray[np.float32]:
    """The best corner of each of 12 × 9 cells, where there is one: the picture votes as a whole, not the
    thing with the most texture."""
    strength = np.asarray(cv2.cornerMinEigenVal(grey, 3), np.float32)
    strength[:4], strength[-4:], strength[:, :4], strength[:, -4:] = 0, 0, 0, 0
    height, width = grey.shape
    tall, wide = max(1, height // CELLS[0]), max(1, width // CELLS[1])
    rows, columns = height // tall, width // wide
    cells = strength[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide)
    flat = cells.transpose(0, 2, 1, 3).reshape(rows * columns, tall * wide)
    best = flat.argmax(1)
    kept = np.flatnonzero(flat[np.arange(len(flat)), best] > TEXTURE)
    y = kept // columns * tall + best[kept] // wide
    x = kept % columns * wide + best[kept] % wide
    return np.stack([x, y], 1).astype(np.float32)


def _step(a: Frames, b: Frames) -> tuple[bool, Matrix | None]:
    """Whether the camera stands still from `a` to `b`, else the similarity from a to b; None where there is
    none to be trusted."""
    changed = float(np.mean(cv2.absdiff(a, b) > CHANGED))
    points = _corners(a)
    if len(points) < LEAST:
        return True, None  # there is nothing to see a camera move by
    there, kept = followed(a, b, points)
    if kept.sum() < LEAST:
        return changed < MANY, None
    stay = np.sqrt(((there - points) ** 2).sum(1))[kept] < STILL
    if float(stay.mean()) >= SHARE:
        return True, None
    moved = _whole_picture(points[kept], there[kept], stay, a)
    if moved is not None:
        return _farthest(moved, a.shape[1], a.shape[0]) < 1.0, moved
    # Several things move, each its own way, and what else is seen stays.
    return changed < FEW or bool(changed < MANY and stay.sum() >= 3), None


def _whole_picture(
    points: NDArray[np.float32], there: NDArray[np.float32], stay: NDArray[np.bool_], a: Frames
) -> Matrix | None:
    """The similarity by which most corners move, all over the picture; None where they do not move as one."""
    if len(points) < LEAST:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(points, there, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None or inliers.sum() < LEAST or float(inliers.mean()) < SHARE:
        return None
    agree = points[(inliers.ravel() == 1) & ~stay]
    spread = np.ptp(agree, axis=0) / np.array(a.shape[::-1]) if len(agree) else np.zeros(2)
    one = spread.min() >= 0.4 and len(agree) > 2 * stay.sum()  # the picture, not one thing in it
    return np.asarray(matrix, np.float64) if one else None


def _farthest(matrix: Matrix, width: int, height: int) -> float:
    """How far a similarity moves a corner of the picture, in pixels."""
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    moved = corners @ matrix[:, :2].T + matrix[:, 2] - corners
    return float(np.sqrt((moved**2).sum(1)).max())


def _joined(second: Matrix, first: Matrix) -> Matrix:
    """The matrix that applies `first`, then `second`."""
    full = np.vstack([first, [0, 0, 1]])
    return np.asarray(second @ full, np.float64)


def _whole_clip_still(grey: list[Frames]) -> bool:
    """Neighbours may move too little to notice; the ends of the clip show it."""
    points = _corners(grey[0])
    for other in (grey[len(grey) // 2], grey[-1]):
        if len(points) < LEAST:
            return True
        there, kept = followed(grey[0], other, points)
        stay = np.sqrt(((there - points) ** 2).sum(1))[kept] < 2 * STILL
        if _whole_picture(points[kept], there[kept], stay, grey[0]) is not None:
            return False
    return True


def steadied(frames: Frames) -> Steadied:
    """Frames (n, H, W, 3) uint8 RGB, n ≥ 2, in line with the middle one."""
    n, height, width = frames.shape[:3]
    grey = [np.asarray(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), np.uint8) for f in frames]
    same = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    stands = np.tile(same, (n, 1, 1))
    steps = [_step(a, b) for a, b in itertools.pairwise(grey)]
    if all(still for still, _ in steps) and _whole_clip_still(grey):
        return Steadied(Camera.STILL, frames, None, stands)
    if any(not still and matrix is None for still, matrix in steps):
        return Steadied(Camera.LOST, frames, None, stands)
    pairs = list(itertools.pairwise(grey))
    moves = [
        matrix if matrix is not None else _gentle(*pair)
        for (_, matrix), pair in zip(steps, pairs, strict=True)
    ]
    middle = n // 2
    to_middle = [same] * n
    for i in range(middle + 1, n):
        to_middle[i] = _joined(
            to_middle[i - 1], np.asarray(cv2.invertAffineTransform(moves[i - 1]), np.float64)
        )
    for i in range(middle - 1, -1, -1):
        to_middle[i] = _joined(to_middle[i + 1], moves[i])
    matrices = np.stack(to_middle)
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
    far = np.abs(matrices[:, :, 2] + matrices[:, :, :2] @ np.array([width / 2, height / 2])
                 - np.array([width / 2, height / 2])).max(0)  # fmt: skip
    if (far > FARTHEST * np.array([width, height])).any() or max(scale.max(), 1 / scale.min()) > ZOOM:
        return Steadied(Camera.LOST, frames, None, stands)
    shown, inside = [], []
    whole = np.full((height, width), 255, np.uint8)
    for frame, matrix in zip(frames, matrices, strict=True):
        shown.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
        edge = cv2.warpAffine(whole, matrix, (width, height))
        inside.append(cv2.erode(edge, np.ones((5, 5), np.uint8)) == 255)
    return Steadied(Camera.STEADIED, np.stack(shown).astype(np.uint8), np.stack(inside), matrices)


def _gentle(a: Frames, b: Frames) -> Matrix:
    """The similarity between two frames that are nearly in line; none where it cannot be told."""
    same = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    points = _corners(a)
    if len(points) < LEAST:
        return same
    there, kept = followed(a, b, points)
    if kept.sum() < LEAST:
        return same
    found, _ = cv2.estimateAffinePartial2D(
        points[kept], there[kept], method=cv2.RANSAC, ransacReprojThreshold=0.5
    )
    return same if found is None else np.asarray(found, np.float64)
