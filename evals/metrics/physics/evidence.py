"""What the physics metrics found in one clip, with where it was seen: for reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evals.metrics.physics import continuity, permanence
from evals.metrics.physics.checks import Check, Untestable, lowest, of_clip
from evals.metrics.physics.laws import LAWS, PLANAR, test_law
from evals.records import Prompt
from evals.runs.features import Features
from evals.tracking import FEW, scene_of

Kind = Literal["law broken", "thing lost", "jump"]
BROKEN = 0.5
"""A sub-score under which a report calls it a violation."""


@dataclass(frozen=True)
class Evidence:
    """A violation: `first` and `last` are frames of the clip."""

    kind: Kind
    name: str
    score: float
    said: str
    first: int
    last: int


def evidence(
    prompt: Prompt, tracks: Features, points: Features | None, times: NDArray[np.float64]
) -> list[Evidence]:
    """The violations of a clip, from its stored features; the worst of each sub-score."""
    scene = scene_of(tracks, times)
    found: list[tuple[Kind, Check]] = []
    if prompt.cuts or prompt.counterfactual:
        return []
    if prompt.law in LAWS:
        tested = test_law(str(prompt.law), scene, prompt.subjects)
        checks = () if isinstance(tested, Untestable) else of_clip(lowest(tested), scene.index)
        found += [("law broken", c) for c in checks]
    told = scene.plain and sum(s.count for s in prompt.subjects) <= FEW
    lost = of_clip(permanence.of_tracks(scene, prompt.law in PLANAR), scene.index) if told else ()
    jumps = of_clip(continuity.of_tracks(scene), scene.index) if told else ()
    if points is not None and len(points["start"]):
        lost, jumps = lost or permanence.of_points(points), jumps or continuity.of_points(points)
    found += [("thing lost", c) for c in lowest(lost)] + [("jump", c) for c in lowest(jumps)]
    return [Evidence(kind, c.name, c.score, c.said, c.first, c.last) for kind, c in found if c.score < BROKEN]
