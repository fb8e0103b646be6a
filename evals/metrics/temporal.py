"""Steadiness from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.errors import Reason
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.records import Need, Spec

NO_PAIRS = Skip("has one frame; the metric compares consecutive frames", Reason.TOO_FEW_FRAMES)
STILL_ASKED = Skip("the prompt asks for a scene without motion", Reason.PROMPT_EXCLUDES)
CUT_ASKED = Skip("the prompt asks for a change of scene", Reason.PROMPT_EXCLUDES)
DIFFERENCE, SSIM, CONTENT = (Need("frames", name) for name in ("difference", "ssim", "content"))


class TemporalFlicker(VideoMetric):
    """(255 − mean over pairs of mean |fₜ − fₜ₊₁|) / 255 on 8-bit frames. 1 is a still picture.

    Source: VBench (Huang et al. 2024), temporal_flickering. VBench runs it only on clips that pass a
    filter for still scenes; here it runs on all, so read it beside `dynamic_degree`.
    """

    spec = Spec(name="temporal_flicker", version=1)
    about = About(
        "higher", 0.0, 1.0, temporal=True, rewarded_by=("stillness", "blur"),
            source="VBench temporal_flickering (Huang et al. 2024)",
        note="motion lowers it too, and a frozen clip has the best value",
        aspect="consistency",
    )  # fmt: skip
    needs = (DIFFERENCE,)

    def score(self, clip: Clip) -> Value | Skip:
        mean = clip[DIFFERENCE]["mean"]
        return Value((255.0 - float(mean.mean())) / 255.0) if mean.size else NO_PAIRS


class TemporalSsim(VideoMetric):
    """Mean SSIM of consecutive frames, on luma. 1 is a still picture."""

    spec = Spec(name="temporal_ssim", version=1)
    about = About(
        "higher", -1.0, 1.0, temporal=True, rewarded_by=("stillness", "blur"),
            source="SSIM (Wang et al. 2004) on consecutive frames",
        note="motion lowers it too, and a frozen clip has the best value",
        aspect="consistency", role="diagnostic",
    )  # fmt: skip
    needs = (SSIM,)

    def score(self, clip: Clip) -> Value | Skip:
        values = clip[SSIM]["ssim"]
        return Value(float(values.mean())) if values.size else NO_PAIRS


class FrozenFrames(VideoMetric):
    """Share of consecutive pairs in which nothing moves: no 16×16 block changes by a level.

    Does not apply to prompts annotated `motion: none`.
    """

    THRESHOLD = 1.0

    spec = Spec(name="frozen_frames", version=1, params={"threshold": THRESHOLD})
    about = About(
        "lower", 0.0, 1.0, unit="share of pairs", temporal=True, rewarded_by=("noise", "flicker"),
            source="this project",
        note="detects repeated frames, not slow motion",
        aspect="motion",
    )  # fmt: skip
    needs = (DIFFERENCE,)
    reads = ("motion",)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.motion == "none":
            return STILL_ASKED
        block = clip[DIFFERENCE]["block_max"]
        return Value(float(np.mean(block < self.THRESHOLD))) if block.size else NO_PAIRS


class SceneCuts(VideoMetric):
    """Number of hard cuts. A cut is a pair of frames whose content change is at least 15 and at least 3
    times the mean of the two pairs before and the two after it, as in PySceneDetect's
    `AdaptiveDetector` with its defaults, but without its minimum scene length. The first and last two
    pairs have too few neighbours and are never cuts. Does not apply to prompts annotated `cuts: true`.
    """

    RATIO, LEAST, WIDTH = 3.0, 15.0, 2

    spec = Spec(name="scene_cuts", version=1, params={"ratio": RATIO, "least": LEAST, "width": WIDTH})
    about = About(
        "lower", 0.0, None, unit="cuts", temporal=True, rewarded_by=("stillness",),
            source="PySceneDetect AdaptiveDetector",
        note="a flash of light can count as a cut; the first and last two pairs are not judged",
        aspect="consistency",
    )  # fmt: skip
    needs = (CONTENT,)
    reads = ("cuts",)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        content = np.asarray(clip[CONTENT]["hsv"], np.float64)
        if content.size < 2 * self.WIDTH + 1:
            message = f"has {content.size + 1} frames; finding a cut needs {2 * self.WIDTH + 2}"
            return Skip(message, Reason.TOO_FEW_FRAMES)
        return Value(float(len(cuts(content, self.RATIO, self.LEAST, self.WIDTH))))


def cuts(content: NDArray[np.float64], ratio: float, least: float, width: int) -> list[int]:
    """Pairs (t, t+1), by t, across which the scene changes."""
    found = []
    for t in range(width, len(content) - width):
        around = np.concatenate([content[t - width : t], content[t + 1 : t + 1 + width]])
        if content[t] >= least and content[t] >= ratio * around.mean():
            found.append(t)
    return found


class _Consistency(VideoMetric):
    """Base of metrics on the frames' features of an encoder. Does not apply to prompts annotated
    `cuts: true`."""

    takes = "ENCODER"
    reads = ("cuts",)

    def frames(self, clip: Clip) -> NDArray[np.float64] | Skip:
        """Unit vectors (n, d), n at least 2, or why there are none."""
        if clip.prompt.cuts:
            return CUT_ASKED
        found = clip[self.needs[0]]["features"]
        return unit(found.reshape(len(found), -1)) if len(found) > 1 else NO_PAIRS


class ClipConsistency(_Consistency):
    """Mean cosine of the CLIP image features of consecutive sampled frames (at most 16 per video)."""

    takes = "ARCH/TAG"

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="clip_consistency", version=2)
        self.about = About(
            "higher", -1.0, 1.0, temporal=True, rewarded_by=("stillness",),
            source="frame consistency (Esser et al. 2023)",
            note="sampled frames lie further apart in longer videos; a frozen clip has the best value",
            aspect="consistency", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def score(self, clip: Clip) -> Value | Skip:
        features = self.frames(clip)
        if isinstance(features, Skip):
            return features
        return Value(float((features[1:] * features[:-1]).sum(-1).mean()))


class SubjectConsistency(_Consistency):
    """Mean over frames t ≥ 2 of ½[max(0, cos(fₜ, fₜ₋₁)) + max(0, cos(fₜ, f₁))] of an encoder's features.

    On `dino` this is VBench's subject_consistency.
    """

    name = "subject_consistency"

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name=self.name, version=1)
        self.about = About(
            "higher", 0.0, 1.0, temporal=True, rewarded_by=("stillness",),
            source=f"VBench {self.name} (Huang et al. 2024) on {encoder}",
            note="a frozen clip has the best value",
            aspect="consistency",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def score(self, clip: Clip) -> Value | Skip:
        features = self.frames(clip)
        if isinstance(features, Skip):
            return features
        before = np.maximum(0, (features[1:] * features[:-1]).sum(-1))
        start = np.maximum(0, features[1:] @ features[0])
        return Value(float((before + start).mean() / 2))


class BackgroundConsistency(SubjectConsistency):
    """The same on CLIP's features: on at most 16 frames with `ARCH/TAG`, and VBench's background_consistency,
    on every frame, with `ViT-B-32-quickgelu/openai:vbench`."""

    takes = "ARCH/TAG"
    name = "background_consistency"


class LpipsTemporal(VideoMetric):
    """Mean LPIPS distance of consecutive frames. 0 is a still picture. Does not apply to prompts annotated
    `cuts: true`."""

    takes = "lpips-alex"
    reads = ("cuts",)

    def __init__(self, encoder: str) -> None:
        self.spec = Spec(name="lpips_temporal", version=1)
        self.about = About(
            "lower", 0.0, None, temporal=True, rewarded_by=("stillness", "blur"),
            source="LPIPS 0.1 (Zhang et al. 2018) on consecutive frames",
            note="motion raises it too, and a frozen clip has the best value",
            aspect="consistency", role="diagnostic",
        )  # fmt: skip
        self.needs = (Need("encoder", encoder),)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        return Value(float(np.asarray(clip[self.needs[0]]["lpips"], np.float64).mean()))


def unit(features: NDArray[np.generic]) -> NDArray[np.float64]:
    """Features (n, d) scaled to length 1, in float64."""
    values = np.asarray(features, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float64)
