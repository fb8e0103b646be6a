"""Motion, from optical flow. The flow's name stands in the id."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evals.encoders import ENCODERS
from evals.errors import Reason, UnknownName
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.metrics.temporal import CUT_ASKED, NO_PAIRS, STILL_ASKED
from evals.records import Need, Reward, Spec

Kind = Literal["near", "strided", "between"]
DIS: dict[Kind, Need] = {
    "near": Need("frames", "dis"),
    "strided": Need("frames", "dis-strided"),
    "between": Need("frames", "dis-between"),
}


class FlowSource:
    """What makes the flow: `dis`, in the decoder, or an encoder on pairs of frames such as `raft-small`."""

    def __init__(self, name: str) -> None:
        if name != "dis" and name not in FLOWS:
            try:
                ENCODERS.get(name)  # a plugin's
            except UnknownName:
                raise UnknownName("optical flow", name, FLOWS) from None
        self.name = name
        self.source = FLOWS.get(name, f"the flow of {name}")

    def need(self, kind: Kind) -> Need:
        """The features that hold one kind of pair: neighbours, a stride apart, or even frames."""
        return DIS[kind] if self.name == "dis" else Need("encoder", self.name)

    def read(self, clip: Clip, kind: Kind, array: str) -> NDArray[np.float64]:
        """One array's values (n,) of one kind of pair, in the order of time."""
        found = clip[self.need(kind)]
        if self.name == "dis":
            return np.asarray(found[array], np.float64)
        first, last = np.asarray(found["index"]), np.asarray(found["last"])
        chosen = {
            "near": last - first == 1,
            "strided": np.asarray(found["strided"]) == 1,
            "between": (last - first == 2) & (first % 2 == 0),
        }[kind]
        values = np.asarray(found[array], np.float64).reshape(len(first))
        return np.asarray(values[chosen], np.float64)


SHAKEN: dict[bool, tuple[Reward, ...]] = {True: ("jitter",), False: ("flicker", "jitter")}
"""What counts as motion and is none: DIS is asked where it can be believed, RAFT is not."""
FLOWS = {
    "dis": "DIS flow (Kroeger et al. 2016)",
    "raft-small": "RAFT small (Teed & Deng 2020)",
    "raft-large": "RAFT (Teed & Deng 2020)",
    "raft-large:vbench": "RAFT (Teed & Deng 2020) at the video's own size",
}


class WarpingError(VideoMetric):
    """Mean squared difference between a frame and the next one warped back by flow. Frames are in [0, 1],
    the mean is over pixels visible in both, then over pairs (Lai et al. 2018; pixels whose flow leaves
    the frame are left out as well). Does not apply to prompts annotated `cuts: true`."""

    takes = "dis"
    reads = ("cuts",)

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        self.spec = Spec(name="warping_error", version=2)
        self.about = About(
            "lower", 0.0, 1.0, temporal=True, rewarded_by=("stillness", "blur"),
            source=f"Lai et al. 2018; {self.flow.source}",
            note="blur and freezing improve it; global jitter is hardly seen",
            aspect="consistency",
        )  # fmt: skip
        self.needs = (self.flow.need("near"),)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        errors = self.flow.read(clip, "near", "warp_error")
        if not errors.size:
            return NO_PAIRS
        kept = errors[errors >= 0]
        if not kept.size:
            return Skip("no pair of frames has a pixel that is visible in both", Reason.NOTHING_VISIBLE)
        left_out = errors.size - kept.size
        notes = (f"{left_out} of {errors.size} pairs have no pixel visible in both",) if left_out else ()
        return Value(float(kept.mean()), notes)


def _displacements(clip: Clip, flow: FlowSource) -> NDArray[np.float64] | Skip:
    """The largest displacements of pairs of frames a stride apart (n,), or why they say nothing."""
    if clip.prompt.motion == "none":
        return STILL_ASKED
    found = flow.read(clip, "strided", "top5")
    return found if found.size else Skip("too few frames for a pair at this stride", Reason.TOO_FEW_FRAMES)


class DynamicDegree(VideoMetric):
    """1 if the video moves, else 0, by VBench's rule. Frames are taken every max(1, round(fps/8)); T counts
    them. A pair of them moves if the mean of its largest 5 % of displacements exceeds 6 pixels at a
    short side of 256; the video moves if at least round(4·T/16) pairs, and at least one, do. Does not
    apply to prompts annotated `motion: none`."""

    takes = "dis"
    reads = ("motion",)
    THRESHOLD = 6.0

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        self.spec = Spec(name="dynamic_degree", version=1, params={"threshold": self.THRESHOLD})
        self.about = About(
            "higher", 0.0, 1.0, unit="share of videos", binary=True, temporal=True,
            rewarded_by=SHAKEN[flow == "dis"],
            source=f"VBench dynamic_degree (Huang et al. 2024) with {self.flow.source}",
            aspect="motion", role="diagnostic", reveals=("stillness",),
        )  # fmt: skip
        self.needs = (self.flow.need("strided"),)

    def score(self, clip: Clip) -> Value | Skip:
        top = _displacements(clip, self.flow)
        if isinstance(top, Skip):
            return top
        moving = int(np.sum(top > self.THRESHOLD))
        return Value(float(moving >= max(1, round(4 * (top.size + 1) / 16))))


class FlowMagnitude(VideoMetric):
    """Mean length of the flow between consecutive frames, in pixels at a short side of at most 256."""

    takes = "dis"

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        self.spec = Spec(name="flow_magnitude", version=1)
        self.about = About(
            "none", 0.0, None, unit="pixels per frame", temporal=True, source=self.flow.source,
            note="how much moves, not how well",
            aspect="motion", role="diagnostic",
        )  # fmt: skip
        self.needs = (self.flow.need("near"),)

    def score(self, clip: Clip) -> Value | Skip:
        lengths = self.flow.read(clip, "near", "magnitude")
        return Value(float(lengths.mean())) if lengths.size else NO_PAIRS


class MotionSmoothness(VideoMetric):
    """(255 − mean |frame − the one interpolated from its neighbours|)/255, over odd frames that have one
    after them. 1 is motion that an interpolator continues exactly, and a still picture.

    `motion_smoothness[dis]` and `[raft-small]` interpolate by optical flow; any encoder on `FlowPairs` with
    an array `between_error` is another interpolator. VBench's is AMT, so its numbers don't compare. Does not
    apply to prompts annotated `cuts: true`."""

    takes = "dis"
    reads = ("cuts",)

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        self.spec = Spec(name="motion_smoothness", version=1)
        self.about = About(
            "higher", 0.0, 1.0, temporal=True, rewarded_by=("stillness", "blur"),
            source=f"VBench motion_smoothness (Huang et al. 2024), interpolated by {self.flow.source}",
            note="a frozen clip has the best value, and blur improves it",
            aspect="consistency",
        )  # fmt: skip
        self.needs = (self.flow.need("between"),)

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        errors = self.flow.read(clip, "between", "between_error")
        if not errors.size:
            return Skip("interpolating a frame takes three", Reason.TOO_FEW_FRAMES)
        return Value(smoothness(errors))


def smoothness(errors: NDArray[np.float64]) -> float:
    """From mean absolute differences, 0 to 255."""
    return (255.0 - float(errors.mean())) / 255.0


ASKED = {"high": 6.0, "medium": 3.0, "low": 1.0}


def motion_score(moved: NDArray[np.float64], asked: str | None) -> float:
    """How much of the motion that a prompt asks for is there, from displacements (n,) of pairs of frames."""
    return float(np.minimum(1.0, moved / ASKED[asked or "low"]).mean())


class MotionScore(VideoMetric):
    """How much of the motion that the prompt asks for is there: the mean over pairs of frames, about an
    eighth of a second apart, of min(1, top-5 % displacement / asked for). Displacements are in pixels at a
    short side of 256; asked for by the prompt's `motion`: 6 where `high` (what VBench's dynamic_degree calls
    moving), 3 where `medium`, 1 where `low` or not annotated. Does not apply to prompts annotated `motion:
    none`."""

    takes = "dis"
    reads = ("motion",)

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        self.spec = Spec(name="motion_score", version=1, params={"asked": dict(ASKED)})
        self.about = About(
            "higher", 0.0, 1.0, temporal=True, rewarded_by=SHAKEN[flow == "dis"],
            source=f"this project; {self.flow.source}", note="how much moves, not how well",
            aspect="motion", role="diagnostic", reveals=("stillness",),
        )  # fmt: skip
        self.needs = (self.flow.need("strided"),)

    def score(self, clip: Clip) -> Value | Skip:
        moved = _displacements(clip, self.flow)
        if isinstance(moved, Skip):
            return moved
        return Value(motion_score(moved, clip.prompt.motion))


class TemporalQuality(VideoMetric):
    """Smoothness times motion score; a still video scores 0.

    Smoothness is `motion_smoothness` on VBench's scale, (s − 0.706)/(0.9975 − 0.706) within [0, 1]; the
    motion score is that of `motion_score`, and 1 where the prompt's `motion` is `none`. Does not apply to
    prompts annotated `cuts: true`."""

    takes = "dis"
    reads = ("cuts", "motion")
    LEAST, MOST = 0.706, 0.9975

    def __init__(self, flow: str) -> None:
        self.flow = FlowSource(flow)
        params = {"asked": dict(ASKED), "smoothness": [self.LEAST, self.MOST]}
        self.spec = Spec(name="temporal_quality", version=1, params=params)
        self.about = About(
            "higher", 0.0, 1.0, temporal=True, rewarded_by=("blur", *SHAKEN[flow == "dis"]),
            source=f"this project; VBench's range of smoothness; {self.flow.source}",
            note="jitter counts as motion, on RAFT flicker, too; blur raises smoothness",
            aspect="motion",
        )  # fmt: skip
        self.needs = tuple(dict.fromkeys((self.flow.need("between"), self.flow.need("strided"))))

    def score(self, clip: Clip) -> Value | Skip:
        if clip.prompt.cuts:
            return CUT_ASKED
        errors = self.flow.read(clip, "between", "between_error")
        moved = self.flow.read(clip, "strided", "top5")
        if not errors.size or not moved.size:
            return Skip("needs three frames, and two a stride apart", Reason.TOO_FEW_FRAMES)
        smooth = (smoothness(errors) - self.LEAST) / (self.MOST - self.LEAST)
        motion = 1.0
        if clip.prompt.motion != "none":
            motion = motion_score(moved, clip.prompt.motion)
        return Value(min(1.0, max(0.0, smooth)) * motion)
