"""Things that move in front of what stays: detections for tracks.

The background is the median over time of frames brought into line. Where something rests for most of the clip
the median holds the thing itself. So frames are compared two by two: where they differ, a thing has an
outline in the frame that shows it, and the other one shows what is behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.errors import DoesNotApply, Reason
from evals.extractors import FrameExtractor
from evals.extractors.camera import Camera, Steadied, steadied
from evals.extractors.dis import SHORT_SIDE, small
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, Frames

KEPT = 480  # frames held at most; of a longer video every second, fourth … is taken
SAMPLES = 31  # frames of which the background is made
FEWEST = 5
COMPARED = 12  # frames of which every two are compared, to tell things from what is behind them
FLOOR, SIGMAS = 14.0, 5.0  # grey levels, and times the noise, that a pixel differs by
LEAST_AREA = 2e-4  # of the picture
MOST = 24  # detections a frame, the largest ones
SHADOW = (0.5, 0.97)
SHADOW_TINT = 0.09
FLAT = 1.8
COMPACT, NARROW, PART = 0.93, 0.6, 0.2
"""Area over that of the convex hull of a region in one piece; the share of its greatest half width that a
neck or rod falls short of; the share of the area that a part has at least."""

Mask = NDArray[np.bool_]
_CROSS = np.asarray(cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
_BOX = np.ones((5, 5), np.uint8)


class Moving(FrameExtractor):
    """Regions that differ from the background, in pixels of a short side of at most 256.

    Per detection: `frame` (the number of the frame), `x`, `y` (centroid, of the frame brought into line),
    `area`, `width`, `height`, `solid` (area over that of the convex hull), `contrast` (grey levels to the
    background), `colour` (3, mean RGB) and `edge` (1 where it touches the edge of what is seen). Per clip, in
    arrays of one row: `clip` (frames looked at, height, width, `Camera`, noise in grey levels, the step
    between frames that were looked at, share of the picture that moves).

    Raises `DoesNotApply` under five frames."""

    spec = Spec(
        name="moving", version=1,
        params={"short_side": SHORT_SIDE, "kept": KEPT, "samples": SAMPLES, "floor": [FLOOR, SIGMAS]},
    )  # fmt: skip

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        self._frames: list[Frames] = []
        self._every, self._seen = 1, 0

    def step(self, chunk: Chunk) -> Features:
        for i in range(chunk.lead, len(chunk.frames)):
            if self._seen % self._every == 0:
                self._frames.append(small(chunk, i)[0])
                if len(self._frames) > KEPT:
                    self._frames, self._every = self._frames[::2], 2 * self._every
            self._seen += 1
        return {}

    def finish(self) -> Features:
        if len(self._frames) < FEWEST:
            message = f"{len(self._frames)} frames; telling what moves takes {FEWEST}"
            raise DoesNotApply(message, Reason.TOO_FEW_FRAMES)
        found = detect(np.stack(self._frames))
        found["frame"] = found["frame"] * self._every
        found["clip"][0, 5] = self._every
        return found


def detect(frames: Frames) -> Features:
    """The features of `Moving` of frames (n, H, W, 3) uint8 RGB."""
    n, height, width = frames.shape[:3]
    steady = steadied(frames)
    noise = _noise(steady.frames)
    rows: list[tuple[float, ...]] = []
    moves = 0.0
    if steady.camera is not Camera.LOST:
        threshold = max(FLOOR, SIGMAS * noise)
        behind = _background(steady, threshold)
        for t in range(n):
            mask = _foreground(steady, behind, threshold, t)
            moves += float(mask.mean()) / n
            rows += [(float(t), *one) for one in _regions(mask, steady, behind, t)]
    table = np.array(rows, np.float64).reshape(-1, 13)
    names = ("frame", "x", "y", "area", "width", "height", "solid", "contrast", "edge", "shade")
    found: Features = {name: table[:, i] for i, name in enumerate(names)}
    found["colour"] = table[:, 10:13]
    found["clip"] = np.array([[n, height, width, steady.camera, noise, 1, moves]], np.float64)
    return found


def _noise(frames: Frames) -> float:
    """Standard deviation of the camera's noise, in grey levels: from the median change of a pixel's green."""
    pairs = np.linspace(0, len(frames) - 2, min(len(frames) - 1, 12)).astype(int)
    changes = [cv2.absdiff(frames[i + 1][..., 1], frames[i][..., 1]) for i in pairs]
    return float(np.median([np.median(change) for change in changes])) / 0.6745 / float(np.sqrt(2))


def _largest(image: NDArray[Any]) -> NDArray[Any]:
    """The largest of three channels (H, W, 3) of every pixel."""
    r, g, b = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(r, g), b))


def _median(stack: NDArray[np.uint8], known: Mask | None) -> NDArray[np.uint8]:
    """Median over the first axis of (k, H, W, 3), of known pixels (k, H, W); 0 where none is."""
    k = len(stack)
    if known is None:
        return np.asarray(np.partition(stack, (k - 1) // 2, axis=0)[(k - 1) // 2])
    ordered = np.sort(np.where(known[..., None], stack.astype(np.uint16), 65535), axis=0)
    at = np.maximum(known.sum(0) - 1, 0) // 2
    found = np.take_along_axis(ordered, np.broadcast_to(at[None, ..., None], (1, *stack.shape[1:])), 0)[0]
    return np.where(found == 65535, 0, found).astype(np.uint8)


@dataclass
class _Behind:
    """The background, its colours softened as frames are before they are compared, and where it is known."""

    image: Frames
    soft: Frames
    known: Mask | None


def _softened(image: Frames) -> Frames:
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0.8), np.uint8)


def _edges(image: Frames) -> NDArray[np.float32]:
    """How steep an image is, by the channel that is steepest."""
    soft = _softened(image)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    return np.asarray(np.sqrt(_largest(gx * gx + gy * gy)), np.float32)


def _background(steady: Steadied, threshold: float) -> _Behind:
    """The median over time; where frames differ, of those that show what is behind."""
    n = len(steady.frames)
    chosen = np.unique(np.linspace(0, n - 1, min(n, SAMPLES)).round().astype(int))
    stack = steady.frames[chosen]
    inside = None if steady.inside is None else steady.inside[chosen]
    known = None if inside is None else inside.sum(0) >= max(2, len(chosen) // 5)
    image = _median(stack, inside)
    compared = np.unique(np.linspace(0, n - 1, min(n, COMPARED)).round().astype(int))
    few = steady.frames[compared]
    votes = _votes(few, None if steady.inside is None else steady.inside[compared], threshold)
    shows: Mask = np.asarray(votes > 0, np.bool_)
    where: Mask = np.asarray(shows.any(0), np.bool_)
    if where.any():
        image = np.where(where[..., None], _median(few, shows), image)
    return _Behind(image, _softened(image), known)


def _votes(frames: Frames, inside: Mask | None, threshold: float) -> NDArray[np.int16]:
    """For every pixel of some frames (k, H, W), how often it shows what is behind (above 0) or a thing
    (below), where two of the frames differ: a thing has an outline in the frame that shows it."""
    votes = np.zeros(frames.shape[:3], np.int16)
    edges = [_edges(frame) for frame in frames]
    soft = [_softened(frame) for frame in frames]
    for a in range(len(frames)):
        for b in range(a):
            differs: Any = (_largest(cv2.absdiff(soft[a], soft[b])) > threshold).astype(np.uint8)
            if inside is not None:
                differs[~(inside[a] & inside[b])] = 0
            differs = cv2.morphologyEx(differs, cv2.MORPH_OPEN, _CROSS)
            _count, labels, stats, _ = cv2.connectedComponentsWithStats(differs, connectivity=8)
            for i in np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:MOST] + 1:
                x, y, w, h, area = (int(v) for v in stats[i])
                if area < LEAST_AREA * differs.size:
                    break
                box = np.s_[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2]
                region = (labels[box] == i).astype(np.uint8)
                ring = cv2.dilate(region, _CROSS) > cv2.erode(region, _CROSS)
                mine, theirs = float(edges[a][box][ring].mean()), float(edges[b][box][ring].mean())
                if max(mine, theirs) > 1.4 * min(mine, theirs) + 2:
                    thing, behind = (a, b) if mine > theirs else (b, a)
                    votes[thing][box][region > 0] -= 1
                    votes[behind][box][region > 0] += 1
    return votes


def _foreground(steady: Steadied, behind: _Behind, threshold: float, t: int) -> Mask:
    """Where frame `t` differs from the background, without shadows."""
    now = _softened(steady.frames[t])
    apart = _largest(cv2.absdiff(now, behind.soft))
    sure = np.asarray(apart > threshold, np.bool_)
    if not sure.any():
        return sure
    mask: Any = sure.astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _CROSS)
    mask = cv2.dilate(mask, _CROSS) & (apart > 0.6 * threshold).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _BOX)
    for known in (behind.known, None if steady.inside is None else steady.inside[t]):
        if known is not None:
            mask[~known] = 0
    return _without_shadows(np.asarray(mask, np.bool_), now, behind.soft)


def _without_shadows(whole: Mask, now: Frames, behind: Frames) -> Mask:
    """Shadows darken all channels alike and lie flat on the ground: taken off where they are by themselves,
    or below something."""
    if not whole.any():
        return whole
    left, top, wide, tall = cv2.boundingRect(whole.astype(np.uint8))
    part = np.s_[top : top + tall, left : left + wide]
    found = whole.copy()
    found[part] = _part_without_shadows(whole[part], now[part], behind[part])
    return found


def _part_without_shadows(mask: Mask, now: Frames, behind: Frames) -> Mask:
    ratios = cv2.split((now.astype(np.float32) + 8) / (behind.astype(np.float32) + 8))
    mean = (ratios[0] + ratios[1] + ratios[2]) / 3
    spread = np.maximum.reduce(ratios) - np.minimum.reduce(ratios)
    dark = mask & (mean > SHADOW[0]) & (mean < SHADOW[1]) & (spread < SHADOW_TINT)
    if not dark.any():
        return mask
    kept = mask.copy()
    dark = cv2.morphologyEx(dark.astype(np.uint8), cv2.MORPH_OPEN, _CROSS).astype(np.bool_)
    _, wholes = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    count, labels, stats, middles = cv2.connectedComponentsWithStats(dark.astype(np.uint8), connectivity=8)
    for i in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[i])
        part = labels[y : y + h, x : x + w] == i
        whole = wholes[y : y + h, x : x + w][part].max()
        rows = np.flatnonzero((wholes == whole).any(1))
        share = area / max(1, int((wholes == whole).sum()))
        alone = share > 0.85
        if alone:
            faint = float(mean[y : y + h, x : x + w][part].mean()) > 0.9
            taken = faint or w > FLAT * h
        else:
            taken = w > FLAT * h and middles[i][1] > (rows[0] + rows[-1]) / 2
        if taken:
            kept[y : y + h, x : x + w][part] = False
    return np.asarray(cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_OPEN, _CROSS), np.bool_)


def _regions(mask: Mask, steady: Steadied, behind: _Behind, t: int) -> list[tuple[float, ...]]:
    """Detections of one frame: x, y, area, width, height, solid, contrast, edge, shade and RGB."""
    frame = steady.frames[t]
    inside = None if steady.inside is None else steady.inside[t]
    _count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:MOST] + 1
    found = []
    for i in order:
        x, y, w, h, area = (int(v) for v in stats[i])
        if area < max(12.0, LEAST_AREA * mask.size):
            continue
        whole = np.pad((labels[y : y + h, x : x + w] == i).astype(np.uint8), 1)
        for body in _bodies(whole):
            found.append(_region(body, x - 1, y - 1, frame, behind, inside))
    return found


def _bodies(whole: Frames) -> list[Frames]:
    """A region without thin parts, and taken apart where it is narrow: a bob without its rod, two balls that
    touch. A compact one stays as it is."""
    outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    filled = np.zeros(whole.shape, np.uint8)
    cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
    area = float(filled.sum())
    if area / _hull(outline) > COMPACT:
        return [filled]
    deep = cv2.distanceTransform(filled, cv2.DIST_L2, 5)
    radius = NARROW * float(deep.max())
    if radius < 1.5:
        return [filled]
    core = (deep > radius).astype(np.uint8)
    count, labels = cv2.connectedComponents(core, connectivity=8)
    bodies = []
    for i in range(1, count):
        away = cv2.distanceTransform((labels != i).astype(np.uint8), cv2.DIST_L2, 5)
        body = ((away <= radius) & (filled > 0)).astype(np.uint8)
        if body.sum() >= PART * area:
            bodies.append(body)
    return bodies or [filled]


def _hull(outline: Any) -> float:
    """The area of the convex hull of an outline of pixels, edges included."""
    hull = cv2.convexHull(outline)
    return float(cv2.contourArea(hull)) + cv2.arcLength(hull, True) / 2 + 1


def _region(
    body: Frames, left: int, top: int, frame: Frames, behind: _Behind, inside: Mask | None
) -> tuple[float, ...]:
    """x, y, area, width, height, solid, contrast, edge, shade and RGB of a region that lies at (left, top),
    with a pixel of margin."""
    height, width = frame.shape[:2]
    x, y, w, h = cv2.boundingRect(body)
    x, y, body = x + left, y + top, body[y : y + h, x : x + w]
    outlines, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    box = np.s_[y : y + h, x : x + w]
    apart = np.abs(frame[box].astype(np.float32) - behind.image[box]).max(-1)
    inner = cv2.erode(body, _CROSS, iterations=2, borderValue=0).astype(np.bool_)
    inner = inner if inner.any() else body.astype(np.bool_)
    # A pixel at the rim counts by its share of the contrast inside, steeper about the half: the mask reaches
    # beyond the thing, and there is noise.
    share = apart / max(float(np.median(apart[inner])), 1.0)
    weight = np.clip((share - 0.2) / 0.6, 0.0, 1.0)
    weight = np.where(inner, 1.0, weight * body).astype(np.float32)
    if weight.sum() < 0.2 * body.sum():  # no contrast inside to go by
        weight = body.astype(np.float32)
    area = float(weight.sum(dtype=np.float64))  # not cv2.moments, which takes two columns for points
    middle = [float(weight.sum(axis, dtype=np.float64) @ np.arange(n)) / area for axis, n in ((0, w), (1, h))]
    pixels = frame[box][inner].astype(np.float64)
    edge = x <= 1 or y <= 1 or x + w >= width - 1 or y + h >= height - 1
    if inside is not None and not edge:
        edge = not bool(inside[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2].all())
    return (
        x + middle[0], y + middle[1], area, float(w), float(h),
        min(1.0, float(body.sum()) / _hull(max(outlines, key=len))), float(apart[inner].mean()), float(edge),
        float(pixels.mean(-1).std()), *pixels.mean(0),
    )  # fmt: skip
