"""Buoyancy: what sinks sinks and what floats floats, and both stay where they end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evals.metrics.physics.checks import Check, Tested, Untestable, grade
from evals.metrics.physics.paths import Path, path_of
from evals.tracking import Scene

SINKS, FLOATS = frozenset({"fall", "sink"}), frozenset({"float", "rise"})


def buoyancy(scene: Scene, actions: Sequence[str] = ()) -> Tested:
    """Up or down, one way, and the way that the prompt asks for where it asks for one; and it stays at the
    bottom or at the top."""
    checks: list[Check] = []
    for track in scene.confident:
        path = path_of(track, scene)
        if len(path.t) >= 7 and float(np.ptp(path.xy[:, 1])) > max(6.0, 0.8 * path.size):
            checks += _one_way(path) + _settles(path) + _asked(path, actions)
    return tuple(checks) or Untestable("nothing is seen to rise or sink by a track that can be believed")


def _one_way(path: Path) -> list[Check]:
    """Of all its way up and down, the part that goes against the whole; bobbing at the surface is small."""
    steps = np.diff(path.xy[:, 1])
    whole = float(path.xy[-1, 1] - path.xy[0, 1])
    if abs(whole) < 0.5 * float(np.abs(steps).sum()):
        return []  # it bobs
    against = float(np.abs(steps[np.sign(steps) != np.sign(whole)]).sum())
    noise = 0.8 * path.noise * np.sqrt(len(steps)) + 0.25 * path.size
    share = max(0.0, against - noise) / float(np.abs(steps).sum())
    back = int(path.rows[int(np.argmax(np.abs(np.where(np.sign(steps) != np.sign(whole), steps, 0)))) + 1])
    said = f"{share:.0%} of its way goes back"
    return [Check("one_way", grade(share, 0.2, 0.45), said, max(0, back - 1), back)]


def _asked(path: Path, actions: Sequence[str]) -> list[Check]:
    """All that move sink, or all float: then this one does."""
    sinks, floats = (all(a in kinds for a in actions) and bool(actions) for kinds in (SINKS, FLOATS))
    if not sinks and not floats:
        return []
    # A steady way up or down: what falls into water is accelerated, and bobbing is short.
    for phase in path.phases:
        way = float(phase.travel[1])
        steady = abs(float(phase.fit.acceleration[1])) * phase.duration < 0.5 * phase.speed
        if phase.count >= 5 and steady and abs(way) > 1.5 * path.size:
            said = f"it {'sinks' if way > 0 else 'rises'} steadily"
            frames = int(path.rows[phase.first]), int(path.rows[phase.last])
            return [Check("as_asked", float((way > 0) == sinks), said, *frames)]
    return []


def _settles(path: Path) -> list[Check]:
    """From rest at the end of its way it does not set out again; what it starts from is another matter."""
    for k, phase in enumerate(path.phases):
        still = phase.count >= 4 and phase.reach < max(1.2, 0.08 * path.size)
        gone = k > 0 and any(path.moving(p) for p in path.phases[:k])
        if still and gone:
            level = float(path.xy[phase.first : phase.last + 1, 1].mean())
            after = path.xy[phase.last + 1 :, 1]
            away = float(np.abs(after - level).max()) / path.size if len(after) else 0.0
            said = f"once it has come to rest it moves by {away:.1f} of its size"
            first, last = int(path.rows[phase.first]), int(path.rows[-1])
            return [Check("stays", grade(away, 0.5, 1.2), said, first, last)]
    return []
