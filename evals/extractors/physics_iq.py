"""Where things move in two videos, as Physics-IQ compares a generated clip with a real take."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.extractors.paired import PairExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Frames

RATE, CHANGED, QUARTER = 0.3, 10, 4
_BOX = np.ones((5, 5), np.uint8)

Mask = NDArray[np.bool_]


class MotionMasks:
    """The motion mask of every frame of a video, one after the other: grey, blurred 5 × 5, against a running
    average (weight 0.3, started at the first frame, updated first) by more than 10 levels; opened, then
    closed by a box of 5. The first mask is empty."""

    def __init__(self) -> None:
        self._average: NDArray[np.float64] | None = None

    def step(self, frame: Frames) -> Frames:
        """The mask (H, W), 0 or 255, of the next frame (H, W, 3) RGB."""
        grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (5, 5), 0)
        if self._average is None:
            self._average = grey.astype(np.float64)
            return np.zeros(grey.shape, np.uint8)
        cv2.accumulateWeighted(grey, self._average, RATE)
        apart = cv2.absdiff(grey, cv2.convertScaleAbs(self._average))
        _, mask = cv2.threshold(apart, CHANGED, 255, cv2.THRESH_BINARY)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _BOX)
        return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _BOX), np.uint8)


class PhysicsIq(PairExtractor):
    """A video beside a real take, at a quarter of the take's size (bilinear; masks are made at each video's
    own size first).

    Per frame: `shared` and `either`, pixels that move in both and in one of them, and `mse` of frames in
    [0, 1]. At the end, one row each: `ever_shared` and `ever_either` of pixels that ever move; `least` and
    `most`, the sums of the smaller and the larger share of frames in which a pixel moves; `moves` (1, 2), the
    share of pixels that move in a frame of the video and of the take, on average."""

    spec = Spec(name="physics-iq", version=1, params={"rate": RATE, "changed": CHANGED, "scale": QUARTER})
    any_size = True

    def __init__(self) -> None:
        self._masks = (MotionMasks(), MotionMasks())
        self._counts: list[NDArray[np.int64]] = []
        self._frames = 0

    def step(self, a: Frames, b: Frames) -> Features:
        shared, either, mse = [], [], []
        for one, take in zip(a, b, strict=True):
            size = (max(1, take.shape[1] // QUARTER), max(1, take.shape[0] // QUARTER))
            masks = [self._mask(k, frame, size) for k, frame in enumerate((one, take))]
            shared.append(int((masks[0] & masks[1]).sum()))
            either.append(int((masks[0] | masks[1]).sum()))
            small = [cv2.resize(frame, size).astype(np.float64) / 255 for frame in (one, take)]
            mse.append(float(np.square((small[0] - small[1]).astype(np.float32)).mean(dtype=np.float64)))
            self._counts = self._counts or [np.zeros(masks[0].shape, np.int64) for _ in masks]
            self._counts = [count + mask for count, mask in zip(self._counts, masks, strict=True)]
            self._frames += 1
        return {
            "shared": np.array(shared, np.float64),
            "either": np.array(either, np.float64),
            "mse": np.array(mse, np.float64),
        }

    def _mask(self, which: int, frame: Frames, size: tuple[int, int]) -> Mask:
        return np.asarray(cv2.resize(self._masks[which].step(frame), size) > 127, np.bool_)

    def finish(self) -> Features:
        ours, theirs = self._counts
        ever = [ours > 0, theirs > 0]
        return {
            "ever_shared": np.array([(ever[0] & ever[1]).sum()], np.float64),
            "ever_either": np.array([(ever[0] | ever[1]).sum()], np.float64),
            "least": np.array([np.minimum(ours, theirs).sum() / self._frames], np.float64),
            "most": np.array([np.maximum(ours, theirs).sum() / self._frames], np.float64),
            "moves": np.array([[one.mean() / self._frames for one in (ours, theirs)]], np.float64),
        }
