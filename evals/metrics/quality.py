"""How single frames look."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evals.encoders.published import entry, locate
from evals.errors import Reason, WeightsError
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.metrics.temporal import unit
from evals.records import Need, Spec

LAPLACIAN, COLOUR, ARTEFACTS = (Need("frames", name) for name in ("laplacian", "colour", "artefacts"))


class Sharpness(VideoMetric):
    """Mean over frames of the variance of the Laplacian of 8-bit luma, at the video's own size."""

    spec = Spec(name="sharpness", version=1)
    about = About(
        "higher", 0.0, None, unit="grey levels²", rewarded_by=("noise", "flicker", "hue drift"),
        source="variance of the Laplacian (Pech-Pacheco et al. 2000)",
        note="noise raises it, and it depends on the video's size",
        aspect="appearance", reveals=("blur",),
    )  # fmt: skip
    needs = (LAPLACIAN,)

    def score(self, clip: Clip) -> Value | Skip:
        return Value(float(clip[LAPLACIAN]["variance"].mean()))


class Blur(VideoMetric):
    """Mean over frames of the blur effect: 0 is sharp, 1 blurred. How little of the differences between
    neighbouring pixels a mean filter of 9 pixels takes away, in the blurrier direction, on luma at the
    video's own size. Unlike `sharpness` it hardly depends on how much detail or contrast the scene has."""

    spec = Spec(name="blur", version=1)
    about = About(
        "lower", 0.0, 1.0, rewarded_by=("noise",), source="the blur effect (Crete et al. 2007)",
        note="a shallow depth of field counts as blur; noise lowers it",
        aspect="appearance", reveals=("blur",),
    )  # fmt: skip
    needs = (ARTEFACTS,)

    def score(self, clip: Clip) -> Value | Skip:
        return Value(float(clip[ARTEFACTS]["blur"].mean()))


class Blockiness(VideoMetric):
    """How much larger differences across the borders of 8 × 8 blocks are than elsewhere: mean over frames of
    B/A − 1. 0 is a picture without blocks. Only at the video's own size, where codecs have their grid."""

    spec = Spec(name="blockiness", version=1)
    about = About(
        "lower", -1.0, None, rewarded_by=("noise",),
        source="B and A of Wang, Sheikh & Bovik 2002, as a ratio",
        note="a video that was resized after it was compressed has its blocks elsewhere",
        aspect="appearance",
    )  # fmt: skip
    needs = (ARTEFACTS,)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.normalization.short_side is not None:
            return Skip("the video was resized, so that its blocks lie elsewhere", Reason.DOES_NOT_APPLY)
        edges, inside = (np.asarray(clip[ARTEFACTS][name], np.float64) for name in ("edges", "inside"))
        kept = inside > 0
        if not kept.any():
            return Skip("has no frame of 17 × 17 pixels or more in which anything differs", Reason.TOO_SMALL)
        return Value(float((edges[kept] / inside[kept]).mean() - 1))


class Colorfulness(VideoMetric):
    """Mean over frames of how far their colours spread from grey."""

    spec = Spec(name="colorfulness", version=1)
    about = About(
        "none",
        0.0,
        None,
        source="Hasler & Süsstrunk 2003, M3",
        note="more is not better: noise raises it",
        aspect="appearance",
        role="diagnostic",
    )
    needs = (COLOUR,)

    def score(self, clip: Clip) -> Value | Skip:
        return Value(float(clip[COLOUR]["colorfulness"].mean()))


class ExposureClipping(VideoMetric):
    """Mean over frames of the share of pixels that are black or white to the end of the scale."""

    spec = Spec(name="exposure_clipping", version=1)
    about = About(
        "lower", 0.0, 1.0, unit="share of pixels", rewarded_by=("low contrast",),
        source="luma at most 4 or at least 251 of 255",
        note="a night or a white ground is no mistake",
        aspect="appearance", role="diagnostic",
    )  # fmt: skip
    needs = (COLOUR,)

    def score(self, clip: Clip) -> Value | Skip:
        found = clip[COLOUR]
        return Value(float((found["dark"] + found["bright"]).mean()))


class Aesthetic(VideoMetric):
    """Mean over frames of LAION's aesthetic score of CLIP ViT-L/14's feature, over 10.

    A linear head on the normalized feature (`weights fetch aesthetic`, 4 KB). On
    `ViT-L-14-quickgelu/openai:vbench` VBench's aesthetic_quality.
    """

    takes = "ViT-L-14-quickgelu/openai"
    weights = ("aesthetic",)

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="aesthetic", version=1, params={"head_sha256": entry("aesthetic").sha256})
        self.about = About(
            "higher", None, None, rewarded_by=("saturation",),
            source="LAION-AI aesthetic-predictor (Schuhmann 2022), over 10 as VBench",
            note="a taste learnt from pictures of the web: it likes saturated stills",
            aspect="appearance",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def score(self, clip: Clip) -> Value | Skip:
        weight, bias = _head(locate("aesthetic"))
        found = clip[self.needs[0]]["features"]
        features = unit(found.reshape(len(found), -1))
        if features.shape[1] != weight.size:
            raise WeightsError(
                f"the head reads {weight.size} features, the encoder gives {features.shape[1]}"
            )
        return Value(float((features @ weight + bias).mean() / 10))


@cache
def _head(path: Path) -> tuple[NDArray[np.float64], float]:
    """Weights (768,) and bias of the linear head."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return state["weight"].double().numpy().ravel(), float(state["bias"])
