"""The laws that can be tested on tracks, by the name a prompt's `law` has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evals.metrics.physics.checks import Tested, Untestable
from evals.metrics.physics.laws.falling import gravity, projectile, restitution
from evals.metrics.physics.laws.floating import buoyancy
from evals.metrics.physics.laws.meeting import collision
from evals.metrics.physics.laws.sliding import friction, inertia, rest, rolling
from evals.metrics.physics.laws.swinging import pendulum
from evals.records import Subject
from evals.tracking import FEW, Scene

LAWS: dict[str, Callable[[Scene], Tested]] = {
    "gravity": gravity,
    "projectile": projectile,
    "restitution": restitution,
    "rolling": rolling,
    "pendulum": pendulum,
    "collision": collision,
    "friction": friction,
    "inertia": inertia,
    "rest": rest,
    "buoyancy": buoyancy,
}


PLANAR = frozenset({"gravity", "projectile", "restitution", "pendulum"})
"""Laws of things that stay at one distance from the camera: a change of size has no cause."""


def test_law(law: str, scene: Scene, subjects: Sequence[Subject] = ()) -> Tested:
    """The checks of a law on a scene, or why it cannot be tested there; `subjects` are the prompt's."""
    if sum(s.count for s in subjects) > FEW:
        return Untestable(f"more than {FEW} things were asked for: they cannot be told from each other")
    if scene.uneven:
        return Untestable("the frames are shown at uneven times")
    if scene.lost:
        return Untestable("the camera moves in a way that cannot be followed")
    if scene.known and not scene.plain:
        return Untestable("too much moves for things to be told from each other")
    if law == "buoyancy":
        return buoyancy(scene, tuple(s.action or "" for s in subjects))
    return LAWS[law](scene)
