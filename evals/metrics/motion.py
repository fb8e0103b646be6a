"""Motion, from optical flow. The flow's name stands in the id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evals.errors import UnknownName
from evals.features import Rows
from evals.metrics import About, Skip, Value
from evals.metrics.temporal import NO_PAIRS
from evals.records import Prompt, Spec


@dataclass(frozen=True)
class _Flow:
    pairs: str
    strided: str
    source: str


FLOWS = {"dis": _Flow("fold:dis", "fold:dis-strided", "DIS flow (Kroeger et al. 2016)")}


def _flow(name: str) -> _Flow:
    if name not in FLOWS:
        raise UnknownName("optical flow", name, FLOWS)
    return FLOWS[name]


class WarpingError:
    """Mean squared difference between a frame and the next one warped back by flow. Frames are in [0, 1],
    the mean is over pixels visible in both, then over pairs (Lai et al. 2018; pixels whose flow leaves
    the frame are left out as well)."""

    takes = "dis"
    reads: tuple[str, ...] = ()

    def __init__(self, flow: str) -> None:
        chosen = _flow(flow)
        self.spec = Spec(name="warping_error", version=1)
        self.about = About(
            "lower", 0.0, 1.0, temporal=True, source=f"Lai et al. 2018; {chosen.source}",
            note="blur and freezing improve it; global jitter is hardly seen",
        )  # fmt: skip
        self.needs = (chosen.pairs,)

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        errors = rows[self.needs[0]]["warp_error"]
        if not errors.size:
            return NO_PAIRS
        kept = errors[errors >= 0]
        if not kept.size:
            return Skip("no pair of frames has a pixel that is visible in both")
        left_out = errors.size - kept.size
        notes = (f"{left_out} of {errors.size} pairs have no pixel visible in both",) if left_out else ()
        return Value(float(kept.mean()), notes)


class DynamicDegree:
    """1 if the video moves, else 0, by VBench's rule. Frames are taken every max(1, round(fps/8)); T counts
    them. A pair of them moves if the mean of its largest 5 % of displacements exceeds 6 pixels at a
    short side of 256; the video moves if at least round(4·T/16) pairs, and at least one, do. Does not
    apply to prompts annotated `motion: none`."""

    takes = "dis"
    reads = ("motion",)
    THRESHOLD = 6.0

    def __init__(self, flow: str) -> None:
        chosen = _flow(flow)
        self.spec = Spec(name="dynamic_degree", version=1, params={"threshold": self.THRESHOLD})
        self.about = About(
            "higher", 0.0, 1.0, unit="share of videos", binary=True, temporal=True,
            source=f"VBench dynamic_degree (Huang et al. 2024) with {chosen.source}",
        )  # fmt: skip
        self.needs = (chosen.strided,)

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        if prompt.motion == "none":
            return Skip("the prompt asks for a scene without motion")
        top = rows[self.needs[0]]["top5"]
        if not top.size:
            return Skip("too few frames for a pair at this stride")
        moving = int(np.sum(top > self.THRESHOLD))
        return Value(float(moving >= max(1, round(4 * (top.size + 1) / 16))))


class FlowMagnitude:
    """Mean length of the flow between consecutive frames, in pixels at a short side of at most 256."""

    takes = "dis"
    reads: tuple[str, ...] = ()

    def __init__(self, flow: str) -> None:
        chosen = _flow(flow)
        self.spec = Spec(name="flow_magnitude", version=1)
        self.about = About(
            "none", 0.0, None, unit="pixels per frame", temporal=True, source=chosen.source,
            note="how much moves, not how well",
        )  # fmt: skip
        self.needs = (chosen.pairs,)

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip:
        lengths = rows[self.needs[0]]["magnitude"]
        return Value(float(lengths.mean())) if lengths.size else NO_PAIRS
