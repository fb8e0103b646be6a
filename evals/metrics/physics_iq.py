"""Physics-IQ (Motamed et al. 2025): a generated clip against real takes of the same scene.

`Likeness` of one pair of clips, `physics_iq_score` of many, and a metric of pairs. The whole protocol on a
downloaded benchmark is `evals.benchmarks.physics_iq`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from evals.errors import MetricError
from evals.metrics.base import About
from evals.metrics.fidelity import Curve, PairMetric
from evals.records import Need, Spec
from evals.runs.features import Features

PAIR = Need("pair", "physics-iq")


@dataclass(frozen=True)
class Likeness:
    """How alike two clips move: `spatiotemporal` intersection over union of what moves, the mean over frames
    (1 where nothing moves in either); `spatial` that of what ever moves; `weighted` that of how often it
    moves; `mse` of frames in [0, 1]."""

    spatiotemporal: float
    spatial: float
    weighted: float
    mse: float


def likeness(features: Features) -> Likeness:
    """From the features of the pair extractor `physics-iq`."""
    spatial = _over(*(float(np.asarray(features[n])[0]) for n in ("ever_shared", "ever_either")))
    weighted = _over(*(float(np.asarray(features[n])[0]) for n in ("least", "most")))
    mse = float(np.asarray(features["mse"], np.float64).mean())
    return Likeness(float(overlap(features).mean()), spatial, weighted, mse)


def overlap(features: Features) -> Curve:
    """Intersection over union of what moves, of every frame (n,); 1 where nothing does."""
    shared, either = (np.asarray(features[n], np.float64) for n in ("shared", "either"))
    return np.where(either > 0, shared / np.maximum(either, 1), 1.0)


def _over(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0


def mean_likeness(of: Sequence[Likeness]) -> Likeness:
    """The mean of several, each by itself."""
    return Likeness(*(float(v) for v in np.mean([astuple(one) for one in of], axis=0)))


def physics_iq_score(generated: Sequence[Likeness], takes: Sequence[Likeness]) -> float:
    """The benchmark's score in percent: 100 · clip[⅓ (st/PV + s/PV + w/PV) − (MSE − PV's MSE)], each a mean
    over all clips, where PV (physical variance) is the same between two real takes. A ratio of means, not a
    mean of ratios. Raises `MetricError` where the takes have no motion in common."""
    mean, real = mean_likeness(generated), mean_likeness(takes)
    if min(real.spatiotemporal, real.spatial, real.weighted) <= 0:
        raise MetricError("the two takes have no motion in common: nothing to measure against")
    ratios = [
        mean.spatiotemporal / real.spatiotemporal,
        mean.spatial / real.spatial,
        mean.weighted / real.weighted,
    ]
    return 100 * float(np.clip(np.mean(ratios) - (mean.mse - real.mse), 0.0, 1.0))


class PhysicsIqPair(PairMetric):
    """How alike a video moves to another one that shows what should happen: 100 · (the mean of the three
    intersections over union − MSE), 100 for equal videos. This is the score of Physics-IQ for one pair, as if
    two real takes never differed; the benchmark's own number comes from its protocol (`t2v-evals
    physics-iq`)."""

    spec = Spec(name="physics_iq", version=1)
    identical = 100.0
    need = PAIR
    needs = (need,)
    about = About(
        direction="higher", low=-100.0, high=100.0, unit="%", temporal=True, aspect="physics",
        source="Motamed et al. 2025 (arXiv 2501.09038), without the physical variance",
        note="needs the real outcome of the same first frame: of a model that sees only text it says nothing",
    )  # fmt: skip

    def curve(self, features: Features) -> Curve:
        """100 · (overlap − squared error) of every frame."""
        return np.asarray(100 * (overlap(features) - np.asarray(features["mse"], np.float64)), np.float64)

    def pooled(self, features: Features) -> float:
        found = likeness(features)
        return 100 * ((found.spatiotemporal + found.spatial + found.weighted) / 3 - found.mse)
