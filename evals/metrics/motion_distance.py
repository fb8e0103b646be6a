"""Distances between the motion of two sets of videos, on histograms of point tracks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evals.encoders import ENCODERS
from evals.errors import UnknownName
from evals.metrics.base import About, Matrix
from evals.metrics.distances import FrechetVideoDistance, KernelVideoDistance
from evals.records import Need, Spec
from evals.runs.features import Features

FOLLOWED = {
    "dis": "DIS flow (Kroeger et al. 2016)",
    "lk": "pyramidal Lucas-Kanade (Bouguet 2001)",
    "raft-small": "RAFT small (Teed & Deng 2020)",
    "raft-large": "RAFT (Teed & Deng 2020)",
}
LAYOUT = "features as in FVMD (Liu et al. 2024), on points followed by"
UNIT = 10.0
"""What histograms are divided by before the kernel: by the sums themselves its cube is ruled by the few clips
that move most, and its error on FETV is larger than its value (docs/physics.md)."""
NOTE = "not FVMD, which follows points by PIPs++; blind to how things look"


def histograms_need(flow: str) -> Need:
    """The motion histograms of a flow. Raises `UnknownName`."""
    if flow not in FOLLOWED:
        try:
            ENCODERS.get(flow)  # a plugin's
        except UnknownName:
            raise UnknownName("optical flow", flow, FOLLOWED) from None
    return Need("derived", f"motion:{flow}")


class MotionDistance(KernelVideoDistance):
    """Kernel distance between the motion of two sets of videos: that of `kvd` on histograms of the velocities
    and accelerations of a grid of points (`evals.tracking.motion`). Near 0, and often below, where both move
    alike, whatever is seen. The unit of motion is pixels per frame at a short side of 256: sets of other
    frame rates differ by that alone."""

    takes = "dis"

    def __init__(self, flow: str) -> None:
        super().__init__(flow)
        params = {"kernel": self.spec.params, "unit": UNIT}
        self.spec = Spec(name="motion_distance", version=1, params=params)
        self.protocol = f"motion histograms of point tracks over {UNIT:g}, {self.protocol}"
        self.about = About(
            "lower", None, None, temporal=True,
            source=f"{LAYOUT} {FOLLOWED.get(flow, flow)}; the kernel of kvd", note=NOTE, aspect="realism",
        )  # fmt: skip
        self.needs = (histograms_need(flow),)

    def pool(self, features: Mapping[Need, Features]) -> Matrix:
        return np.asarray(super().pool(features) / UNIT, np.float64)


class MotionDistanceFrechet(FrechetVideoDistance):
    """Fréchet distance between the motion of two sets of videos, on the features of `motion_distance`."""

    takes = "dis"

    def __init__(self, flow: str) -> None:
        super().__init__(flow)
        self.ddof = 1
        self.protocol = "motion histograms of point tracks, mean over windows, ddof 1"
        self.spec = Spec(name="motion_distance_frechet", version=1, params={"ddof": 1, "pool": "mean"})
        self.about = About(
            "lower", 0.0, None, temporal=True, source=f"{LAYOUT} {FOLLOWED.get(flow, flow)}", note=NOTE,
            aspect="realism", role="diagnostic",
        )  # fmt: skip
        self.needs = (histograms_need(flow),)
