"""Distances between two sets of videos as metrics, on any encoder's features.

A video's feature is the mean over its windows, except where frames count by themselves. The statistics
are functions of arrays in `frechet`, `unbiased`, `kernel` and `neighbours`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import scipy.stats

from evals.encoders.protocols import protocol_of
from evals.errors import MetricError, Reason
from evals.metrics.base import About, DistributionMetric, Matrix, SetDifference, SetValue
from evals.metrics.frechet import FEW, frechet_distance, frechet_distance_from_moments
from evals.metrics.kernel import kernel_difference, kernel_distance, kernel_equality, mmd2
from evals.metrics.moments import Moments
from evals.metrics.neighbours import Neighbours, copies, neighbours
from evals.metrics.unbiased import BLOCKS, frechet_difference, frechet_unbiased
from evals.records import Need, Spec
from evals.runs.features import Features

Prompts = tuple[Sequence[str], Sequence[str]]
LEAST_PROMPTS = 20
MOST_SWAPPED = 6000
"""Rows of both sides up to which sets are tested by permutation; above, intervals decide as well."""


def mean_feature(features: Features) -> Matrix:
    """A video's feature vector (d,): the mean over its windows."""
    windows = np.asarray(features["features"], np.float64)
    return np.asarray(windows.reshape(-1, windows.shape[-1]).mean(0), np.float64)


class _OnVideos(DistributionMetric):
    """Base: one feature vector per video."""

    def pool(self, features: Mapping[Need, Features]) -> Matrix:
        return mean_feature(features[self.needs[0]])


class FrechetVideoDistance(_OnVideos):
    """Fréchet distance between the features of two sets of videos.

    A video's feature is the mean over its windows. An image encoder's windows are frames: that is a
    distance between sets of frame content, blind to their order. The FVD of the literature is the one on
    I3D; others are named after their encoder.
    """

    def __init__(self, encoder: str, ddof: int = 1) -> None:
        """`ddof` of the covariance, where the encoder's protocol does not say."""
        known = protocol_of(encoder)
        self.ddof = ddof if known is None else known.ddof
        self.protocol = f"{known.name if known else 'mean over windows'}, ddof {self.ddof}"
        self.spec = Spec(name="fvd", version=1, params={"ddof": self.ddof, "pool": "mean"})
        self.about = About(
            "lower", 0.0, None,
            source=f"Unterthiner et al. 2018; {known.source}" if known
            else "Unterthiner et al. 2018, formula; the encoder is in the id",
            note="" if known else f"on mean-pooled {encoder} features: not the I3D FVD; an image encoder's is"
            " blind to the order of frames",
            aspect="realism", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        value = frechet_distance(a, b, self.ddof)
        return self._found(value, a, b, prompts)

    def compute_to(self, a: Matrix, reference: Moments) -> SetValue:
        """The distance to a set whose moments alone are known."""
        ours = Moments.of(a)
        value = frechet_distance_from_moments(
            ours.mean, ours.covariance(self.ddof), reference.mean, reference.covariance(self.ddof)
        )
        few = min(ours.n, reference.n) < FEW
        return SetValue(value, ours.n, reference.n, (_few(ours.n, reference.n),) if few else ())

    def _found(self, value: float, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        if min(len(a), len(b)) >= FEW:
            return SetValue(value, len(a), len(b))
        bias = None
        with suppress(MetricError):  # too few even for that
            bias = frechet_unbiased(a, b, self.ddof, 8, prompts).bias
        return SetValue(value, len(a), len(b), (_few(len(a), len(b)),), bias=bias)


def _few(n: int, m: int) -> str:
    return (
        f"N = {n} against {m} is far too few: sample-size bias dominates under {FEW}, and values of different"
        " N are not comparable"
    )


class UnbiasedFrechetVideoDistance(_OnVideos):
    """Fréchet distance between the features of two sets of videos, with the sample-size bias taken off by
    a delete-block jackknife over prompts. Near 0, and half of the time below, where both are alike."""

    def __init__(self, encoder: str, ddof: int = 1) -> None:
        self.ddof = ddof
        self.protocol = (
            f"mean over windows, ddof {ddof}, delete-block jackknife over prompts ({BLOCKS} blocks)"
        )
        params = {"ddof": ddof, "pool": "mean", "blocks": BLOCKS}
        self.spec = Spec(name="fvd_unbiased", version=1, params=params)
        self.about = About(
            "lower", None, None, source="Unterthiner et al. 2018; Künsch 1989",
            note=f"on mean-pooled {encoder} features; below 0 means no difference",
            aspect="realism",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        found = frechet_unbiased(a, b, self.ddof, groups=prompts)
        few, d = min(len(a), len(b)), a.shape[1]
        if few < 4 * d:  # below, simulations show intervals that are too narrow
            why = f"no interval: under 4 × {d} videos on both sides it would be too narrow"
            return SetValue(found.value, len(a), len(b), (why,))
        low, high = found.interval()
        return SetValue(found.value, len(a), len(b), low=low, high=high)

    def difference(
        self, a: Matrix, b: Matrix, reference: Matrix, prompts: tuple[Sequence[str], ...]
    ) -> SetDifference | None:
        fewest, d = min(len(a), len(b), len(reference)), a.shape[1]
        if fewest < d:  # below, simulations show intervals that miss the truth
            raise MetricError(
                f"a verdict takes as many videos as features: {fewest} of {d}", Reason.TOO_FEW_VIDEOS
            )
        found = frechet_difference(a, b, reference, prompts, self.ddof)
        return SetDifference(found.value, found.standard_error, found.blocks - 1)


class FrechetFrameDistance(DistributionMetric):
    """Fréchet distance between the features of two sets of frames (FID), blind to their order in time."""

    protocol = "every sampled frame by itself, ddof 1"

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="fid_frames", version=1, params={"ddof": 1, "pool": "none"})
        self.about = About(
            "lower", 0.0, None, source="Heusel et al. 2017, formula; the encoder is in the id",
            note=f"on {encoder} features of frames: not the FID of Inception-v3",
            aspect="realism", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def pool(self, features: Mapping[Need, Features]) -> Matrix:
        frames = np.asarray(features[self.needs[0]]["features"], np.float64)
        return np.asarray(frames.reshape(-1, frames.shape[-1]), np.float64)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        return SetValue(
            frechet_distance(a, b), len(a), len(b), ("N counts frames, which are not independent",)
        )


class KernelVideoDistance(_OnVideos):
    """Kernel distance between the features of two sets of videos (unbiased, polynomial of degree 3).

    A video's feature is the mean over its windows. Pairs of videos of one prompt are left out. Near 0, and
    often below, where both sets are alike, whatever their size.
    """

    protocol = "mean over windows, (x·y/d + 1)³, unbiased, pairs of different prompts; jackknife over prompts"

    def __init__(self, encoder: str) -> None:
        params = {"degree": 3, "gamma": "1/d", "coef0": 1, "pool": "mean", "pairs": "different prompts"}
        self.spec = Spec(name="kvd", version=2, params=params)
        self.about = About(
            "lower", None, None, source="Unterthiner et al. 2019; Bińkowski et al. 2018",
            note=f"on mean-pooled {encoder} features; below 0 means no difference",
            aspect="realism",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        value, error = kernel_distance(a, b, prompts)
        count = min(len(set(side)) for side in prompts)
        if count < LEAST_PROMPTS or not np.isfinite(error):
            why = f"no interval: it takes {LEAST_PROMPTS} prompts on both sides, there are {count}"
            return SetValue(value, len(a), len(b), (why,))
        half = float(scipy.stats.t.ppf(0.975, count - 1)) * error
        return SetValue(value, len(a), len(b), low=value - half, high=value + half)

    def difference(
        self, a: Matrix, b: Matrix, reference: Matrix, prompts: tuple[Sequence[str], ...]
    ) -> SetDifference | None:
        return SetDifference(*kernel_difference(a, b, reference, prompts))

    def equality(self, a: Matrix, b: Matrix, prompts: Prompts) -> float | None:
        if len(a) + len(b) > MOST_SWAPPED:
            return None
        return kernel_equality(a, b, prompts)


class SecondMomentDistance(_OnVideos):
    """JEDi's distance on the features of an encoder: 100 × biased MMD with the kernel (x·y/d)²."""

    protocol = "mean over windows, (x·y/d)², biased, × 100"

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(
            name="mmd2", version=1, params={"degree": 2, "coef0": 0, "scale": 100, "pool": "mean"}
        )
        self.about = About(
            "lower", 0.0, None, source="Luo et al. 2024, the formula",
            note=f"on mean-pooled {encoder} features: JEDi is this on V-JEPA 1",
            aspect="realism", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        few = ("it is biased upwards by few videos, as every biased discrepancy",)
        return SetValue(mmd2(a, b), len(a), len(b), few if min(len(a), len(b)) < 2048 else ())


class _OfNeighbours(_OnVideos):
    """Base of the four: one number of `neighbours` on an encoder's features."""

    name: str
    note: str
    k = 5

    def __init__(self, encoder: str) -> None:
        edge = self.name in ("precision", "recall")  # a ball's edge belongs to it, since version 2
        self.spec = Spec(name=self.name, version=2 if edge else 1, params={"k": self.k, "pool": "mean"})
        self.protocol = f"mean over windows, k = {self.k}"
        high = None if self.name == "density" else 1.0
        source = "Naeem et al. 2020" if self.name in ("density", "coverage") else "Kynkäänniemi et al. 2019"
        self.about = About(
            "higher", 0.0, high, source=source, note=self.note, aspect="realism", role="diagnostic"
        )
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        value = getattr(_neighbours(a, b, self.k), self.name)
        few = ("under 1,000 videos on a side it depends much on how many there are",)
        return SetValue(value, len(a), len(b), few if min(len(a), len(b)) < 1000 else ())


_last: dict[tuple[str, int], Neighbours] = {}


def _neighbours(a: Matrix, b: Matrix, k: int) -> Neighbours:
    """The four of them, computed once for two sets: the last ones asked for are kept."""
    sides = hashlib.sha256(f"{a.shape}{b.shape}".encode())
    for side in (a, b):
        sides.update(np.ascontiguousarray(side).data)
    key = (sides.hexdigest(), k)
    if key not in _last:
        found = neighbours(a, b, k)
        _last.clear()
        _last[key] = found
    return _last[key]


class Precision(_OfNeighbours):
    """Share of generated videos within a k-nearest-neighbour ball of the reference."""

    name, note = "precision", "one outlier in the reference has a large ball"


class Recall(_OfNeighbours):
    """Share of the reference's videos within a ball of the generated ones."""

    name, note = "recall", "one outlier among the generated has a large ball"


class Density(_OfNeighbours):
    """How many balls of the reference hold a generated video, over k; above 1 where both crowd."""

    name, note = "density", "not how much of the reference is reached"


class Coverage(_OfNeighbours):
    """Share of the reference's balls that hold a generated video."""

    name, note = "coverage", "not how many generated videos lie elsewhere"


class Memorization(_OnVideos):
    """Share of videos that lie nearer to one of the reference than 99 % of the reference's own do to each
    other: copies of training clips, where the reference is what was trained on. 0.01 is to be expected."""

    protocol = "mean over windows, nearest neighbour, 1 % quantile within the reference"

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="memorization", version=1, params={"quantile": 0.01, "pool": "mean"})
        self.about = About(
            "lower", 0.0, 1.0, source="nearest neighbours; the threshold is this project's",
            note="about 0.01 is chance; near copies within the reference hide others",
            aspect="realism", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def compute(self, a: Matrix, b: Matrix, prompts: Prompts) -> SetValue:
        return SetValue(copies(a, b).share, len(a), len(b))
