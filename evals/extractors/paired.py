"""Pair extractors: they run inside the decoder process on two videos in step, frame against frame.

They never import torch. What a network tells of two frames is an encoder's (`lpips-alex`): its windows are
then one frame of each video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import cv2
import numpy as np

from evals.errors import DoesNotApply, Reason, UsageError
from evals.extractors.ssim import WINDOW, luma_ssim
from evals.records import Spec
from evals.registry import Registry, with_code
from evals.runs.features import Features
from evals.video import Frames


class PairExtractor(ABC):
    """Features of two videos of one length and rate: arrays whose first axis is time. They are of one size,
    unless the class says that it takes `any_size`.

    A new one is made for every pair. `spec` names it and the version of its numbers. Features must not depend
    on where the frames are cut into blocks.
    """

    spec: Spec
    any_size: ClassVar[bool] = False

    @abstractmethod
    def step(self, a: Frames, b: Frames) -> Features:
        """Features of consecutive frames (n, H, W, 3) uint8 RGB of both videos, the same ones of each.

        Raises `DoesNotApply` where the videos cannot have any."""

    def finish(self) -> Features:
        """Features that only the end of both videos gives; they are appended to those of the steps."""
        return {}


class PairedPixels(PairExtractor):
    """Per frame, over all pixels and channels, in 8-bit levels: `mae`, the mean of |a − b|, and `mse`, that
    of (a − b)²; both are exact integer sums, divided once."""

    spec = Spec(name="paired-pixels", version=1)

    def step(self, a: Frames, b: Frames) -> Features:
        mae, mse = [], []
        for x, y in zip(a, b, strict=True):
            mae.append(cv2.norm(x, y, cv2.NORM_L1) / x.size)
            mse.append(cv2.norm(x, y, cv2.NORM_L2SQR) / x.size)
        return {"mae": np.array(mae, np.float64), "mse": np.array(mse, np.float64)}


class PairedSsim(PairExtractor):
    """Per frame, `ssim` of the two on 8-bit luma, with the window and constants of the frame extractor
    `ssim` (Wang et al. 2004). Needs at least 11×11 pixels."""

    spec = Spec(name="paired-ssim", version=1)

    def step(self, a: Frames, b: Frames) -> Features:
        height, width = a.shape[1:3]
        if min(height, width) < WINDOW:
            message = f"{width}×{height} pixels; SSIM's window is {WINDOW}×{WINDOW}"
            raise DoesNotApply(message, Reason.TOO_SMALL)
        return {"ssim": np.array([luma_ssim(x, y) for x, y in zip(a, b, strict=True)], np.float64)}


PAIR_EXTRACTORS = Registry(
    "pair extractor",
    {
        "physics-iq": "evals.extractors.physics_iq:PhysicsIq",
        "pixels": "evals.extractors.paired:PairedPixels",
        "ssim": "evals.extractors.paired:PairedSsim",
    },
    "evals.pair_extractors",
)


def create_pair(name: str) -> PairExtractor:
    """A pair extractor from its id. Raises `UnknownName` or `UsageError`."""
    made = PAIR_EXTRACTORS.get(name)()
    if not isinstance(made, PairExtractor):
        raise UsageError(f"{name} is not a pair extractor: its class does not extend evals.PairExtractor")
    return with_code(made)
