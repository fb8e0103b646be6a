"""Fidelity: how near a video is to another that should be the same, frame against frame."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.records import Need, Spec
from evals.runs.features import Features

MOST_DECIBELS = 100.0
"""PSNR of equal pictures, which would be infinite, and the highest there is."""

Curve = NDArray[np.float64]


class PairMetric(VideoMetric):
    """One number for a video beside another of the same prompt and seed. `identical` is that of equal
    videos."""

    identical: ClassVar[float]
    need: Need

    @abstractmethod
    def curve(self, features: Features) -> Curve:
        """The value of every frame (n,)."""

    def pool(self, curve: Curve) -> float:
        """One value of some frames' (n,): their mean, unless a metric says otherwise."""
        return float(curve.mean())

    def pooled(self, features: Features) -> float:
        """The clip's value."""
        return self.pool(self.curve(features))

    def score(self, clip: Clip) -> Value | Skip:
        return Value(self.pooled(clip[self.need]))


def decibels(mse: Curve) -> Curve:
    """PSNR of a mean squared error in 8-bit levels, at most `MOST_DECIBELS`."""
    least = 255.0**2 / 10 ** (MOST_DECIBELS / 10)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(mse, least)), np.float64)


class FidelityPsnr(PairMetric):
    """Peak signal-to-noise ratio in decibels, of the mean squared error over all frames, pixels and RGB
    channels (as `ffmpeg`'s psnr filter averages); 100 for equal videos."""

    spec = Spec(name="fidelity_psnr", version=1)
    identical = MOST_DECIBELS
    need = Need("pair", "pixels")
    needs = (need,)
    about = About(
        direction="higher", low=0.0, high=MOST_DECIBELS, unit="dB", aspect="fidelity",
        source="10 log10(255² / mean squared error) over RGB, 8 bit",
        note="pixel by pixel: a shift of one pixel or one frame moves it as much as damage does",
    )  # fmt: skip

    def curve(self, features: Features) -> Curve:
        return decibels(np.asarray(features["mse"], np.float64))

    def pool(self, curve: Curve) -> float:
        """The decibels of the frames' mean squared error."""
        return float(decibels((255.0**2 / 10 ** (curve / 10)).mean(keepdims=True))[0])

    def pooled(self, features: Features) -> float:
        return float(decibels(np.asarray(features["mse"], np.float64).mean(keepdims=True))[0])


class FidelityMae(PairMetric):
    """Mean absolute difference of all frames, pixels and RGB channels, in 8-bit levels; 0 for equal
    videos."""

    spec = Spec(name="fidelity_mae", version=1)
    identical = 0.0
    need = Need("pair", "pixels")
    needs = (need,)
    about = About(
        direction="lower", low=0.0, high=255.0, unit="levels", aspect="fidelity",
        source="mean |a − b| over RGB, 8 bit",
        note="pixel by pixel: a shift of one pixel or one frame moves it as much as damage does",
    )  # fmt: skip

    def curve(self, features: Features) -> Curve:
        return np.asarray(features["mae"], np.float64)


class FidelitySsim(PairMetric):
    """Mean structural similarity of the frames, on 8-bit luma; 1 for equal videos."""

    spec = Spec(name="fidelity_ssim", version=1)
    identical = 1.0
    need = Need("pair", "ssim")
    needs = (need,)
    about = About(
        direction="higher", low=-1.0, high=1.0, aspect="fidelity",
        source="Wang et al. 2004: Gaussian window 11, σ 1.5, K 0.01 and 0.03",
        note="luma only: a change of hue at one brightness is not seen",
    )  # fmt: skip

    def curve(self, features: Features) -> Curve:
        return np.asarray(features["ssim"], np.float64)


class FidelityLpips(PairMetric):
    """Mean LPIPS of the frames on an encoder's features; 0 for equal videos."""

    takes = "lpips-alex"
    identical = 0.0
    about = About(
        direction="lower", low=0.0, aspect="fidelity", source="Zhang et al. 2018, version 0.1",
        note="at a short side of 64 to 256 pixels: finer detail is not seen",
    )  # fmt: skip

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="fidelity_lpips", version=1, params={"encoder": encoder})
        self.need = Need("pair", encoder)
        self.needs = (self.need,)

    def curve(self, features: Features) -> Curve:
        found = np.asarray(features["lpips"], np.float64)
        return np.asarray(found.reshape(len(found), -1).mean(1), np.float64)
