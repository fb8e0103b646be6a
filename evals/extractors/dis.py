"""Dense optical flow without weights: DIS (Kroeger et al. 2016), as in OpenCV.

Flow is computed on frames whose short side is at most 256 pixels (area averaging), so that cost and
numbers don't run away with the video's size. Displacements are in pixels at that size.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk, Frames, shrunk

SHORT_SIDE = 256
PRESET = "medium"
SMALLEST = 16
WINDOW = 9  # pixels a side of the surroundings that confidence looks at
TEXTURE = 1.0  # grey levels² per pixel², the smaller eigenvalue of the structure tensor
NOISE = 4.0  # grey levels², what a change of frames has at least

FlowField = NDArray[np.float32]


@cache
def _dis() -> Any:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def flow(a: Frames, b: Frames) -> FlowField:
    """Displacement (H, W, 2) in pixels, x then y: the point at p in `a` is at p + flow(p) in `b`.

    `a`, `b`: (H, W) uint8. Sides under 16 pixels are padded by repeating the border.
    """
    height, width = a.shape
    pad = ((0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)))
    if any(p[1] for p in pad):
        a, b = np.pad(a, pad, mode="edge"), np.pad(b, pad, mode="edge")
    return np.asarray(_dis().calc(a, b, None)[:height, :width], np.float32)


def working_size(image: Frames) -> Frames:
    """The image at the size at which flow is computed."""
    return shrunk(image, SHORT_SIDE)


def small(chunk: Chunk, i: int) -> tuple[Frames, Frames]:
    """RGB and luma of frame `i` at working size, made once per chunk."""
    key = ("small", i)
    if key not in chunk.memo:
        rgb = working_size(chunk.frames[i])
        chunk.memo[key] = (rgb, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
    pair: tuple[Frames, Frames] = chunk.memo[key]
    return pair


def forward(chunk: Chunk, i: int) -> FlowField:
    """FlowField from frame `i` of the chunk to the next, computed once for all extractors."""
    key = ("dis", i)
    if key not in chunk.memo:
        chunk.memo[key] = flow(small(chunk, i)[1], small(chunk, i + 1)[1])
    result: FlowField = chunk.memo[key]
    return result


def backward(chunk: Chunk, i: int) -> FlowField:
    """FlowField from the next frame to frame `i` of the chunk, computed once for all extractors."""
    key = ("dis back", i)
    if key not in chunk.memo:
        chunk.memo[key] = flow(small(chunk, i + 1)[1], small(chunk, i)[1])
    result: FlowField = chunk.memo[key]
    return result


def magnitude(field: FlowField) -> NDArray[np.float32]:
    """Length of every displacement, (H, W)."""
    # NumPy, not cv2.magnitude: the latter's last bit depends on where the array lies in memory.
    return np.asarray(np.sqrt(field[..., 0] ** 2 + field[..., 1] ** 2), np.float32)


def warp(image: NDArray[Any], field: FlowField) -> NDArray[np.float32]:
    """Backward warp: at p, the image's bilinear value at p + field(p); 0 outside."""
    height, width = field.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    where = (x + field[..., 0], y + field[..., 1])
    image = np.asarray(image, np.float32)
    return np.asarray(cv2.remap(image, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def visible(fw: FlowField, bw: FlowField) -> NDArray[np.bool_]:
    """Where frame t's pixels can be seen in frame t+1 (Lai et al. 2018, after Sundaram et al. 2010).

    Left out are pixels whose forward and warped backward flow disagree, |w(bw) + fw|² >
    0.01(|fw|² + |w(bw)|²) + 0.5; motion boundaries, |∇fw|² > 0.01|fw|² + 0.002; and pixels whose
    flow points outside the frame, for which there is nothing to compare with.
    """
    warped = np.stack([warp(bw[..., 0], fw), warp(bw[..., 1], fw)], axis=-1)
    length = (fw * fw).sum(-1)
    apart = ((fw + warped) ** 2).sum(-1) > 0.01 * (length + (warped * warped).sum(-1)) + 0.5
    step_x, step_y = np.zeros_like(fw), np.zeros_like(fw)
    step_x[:, :-1], step_y[:-1] = np.diff(fw, axis=1), np.diff(fw, axis=0)
    edge = (step_x**2 + step_y**2).sum(-1) > 0.01 * length + 0.002
    height, width = length.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    x1, y1 = x + fw[..., 0], y + fw[..., 1]
    outside = (x1 < 0) | (y1 < 0) | (x1 > width - 1) | (y1 > height - 1)
    return np.asarray(~(apart | edge | outside), np.bool_)


def confident(a: Frames, b: Frames, fw: FlowField, bw: FlowField) -> NDArray[np.bool_]:
    """Where a displacement can be believed: the pixel is visible in both frames, its surroundings have
    texture in every direction, and the displacement explains at least half of how they change, beyond noise.

    `a`, `b`: luma (H, W). Elsewhere DIS follows noise and compression: without this, the stillest real clips
    had up to 3 pixels where RAFT sees 0.4 (docs/metrics.md).
    """
    before, after = a.astype(np.float32), b.astype(np.float32)
    gx = np.asarray(cv2.Sobel(before, cv2.CV_32F, 1, 0), np.float32) / 8
    gy = np.asarray(cv2.Sobel(before, cv2.CV_32F, 0, 1), np.float32) / 8
    xx, xy, yy = (_nearby(np.asarray(product, np.float32)) for product in (gx * gx, gx * gy, gy * gy))
    weakest = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    still, moved = _nearby((before - after) ** 2), _nearby((before - warp(b, fw)) ** 2)
    return visible(fw, bw) & (weakest > TEXTURE) & (moved + NOISE < still / 2)


def _nearby(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.boxFilter(image, -1, (WINDOW, WINDOW)), np.float32)


class Dis(FrameExtractor):
    """Per pair of consecutive frames:

    - `magnitude`: mean length of the flow, pixels at working size;
    - `warp_error`: mean squared difference, frames in [0, 1], between frame t and frame t+1 warped
      back, over visible pixels and channels; -1 for a pair without a visible pixel;
    - `visible`: share of visible pixels.
    """

    spec = Spec(name="dis", version=2, params={"preset": PRESET, "short_side": SHORT_SIDE})

    def step(self, chunk: Chunk) -> Features:
        lengths, errors, shares = [], [], []
        for i in range(len(chunk.frames) - 1):
            a, b = small(chunk, i)[0], small(chunk, i + 1)[0]
            fw = forward(chunk, i)
            mask = visible(fw, backward(chunk, i))
            difference = (a.astype(np.float32) - warp(b, fw))[mask] / 255
            lengths.append(float(magnitude(fw).mean(dtype=np.float64)))
            errors.append(float(np.square(difference, dtype=np.float64).mean()) if mask.any() else -1.0)
            shares.append(float(mask.mean(dtype=np.float64)))
        return {
            "magnitude": np.array(lengths, np.float64),
            "warp_error": np.array(errors, np.float64),
            "visible": np.array(shares, np.float64),
        }


class DisStrided(FrameExtractor):
    """Per pair of frames taken every max(1, round(fps/8)) frames, `top5`: the mean of the largest 5 % of
    flow lengths, in pixels at a short side of 256, where a displacement that cannot be believed counts as 0
    (VBench's dynamic degree, with DIS for RAFT)."""

    spec = Spec(
        name="dis-strided", version=2,
        params={**Dis.spec.params, "confidence": [WINDOW, TEXTURE, NOISE]},
    )  # fmt: skip

    def __init__(self, name: str, weights: Path | None = None) -> None:
        super().__init__(name, weights)
        self._last: Frames | None = None

    def step(self, chunk: Chunk) -> Features:
        stride = max(1, round(chunk.fps / 8))
        values = []
        for i in range(chunk.lead, len(chunk.frames)):
            if (chunk.start + i - chunk.lead) % stride:
                continue
            grey = small(chunk, i)[1]
            if self._last is not None:
                near = stride == 1
                there = forward(chunk, i - 1) if near else flow(self._last, grey)
                back = backward(chunk, i - 1) if near else flow(grey, self._last)
                lengths = np.where(confident(self._last, grey, there, back), magnitude(there), np.float32(0))
                values.append(_top5(lengths) * SHORT_SIDE / min(grey.shape))
            self._last = grey
        return {"top5": np.array(values, np.float64)}


def _top5(lengths: NDArray[np.float32]) -> float:
    count = max(1, int(lengths.size * 0.05))
    return float(np.partition(lengths.ravel(), -count)[-count:].mean(dtype=np.float64))
