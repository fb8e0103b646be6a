"""What stands on the stage: a kind of thing, how it looks, and where it is at every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from evals.worlds.brush import Canvas, Colour


@dataclass(frozen=True)
class Pose:
    """Where an actor is at one time, in metres: `x`, `y` is its contact with the ground, or its centre where
    it has none; `phase` is where it is in its gait, in radians; `stride` how far it swings its limbs (0
    still, 1 running); `act` what its arms or head do (0–1); `angle` counter-clockwise; `grown` is its size as
    a share of the actor's, `tinted` a colour that takes the place of the actor's."""

    x: float
    y: float
    angle: float = 0.0
    facing: int = 1
    phase: float = 0.0
    stride: float = 0.0
    act: float = 0.0
    visible: bool = True
    grown: float = 1.0
    tinted: Colour | None = None


Motion = Callable[[float], Pose]
Painter = Callable[[Canvas, "Actor", Pose], None]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that can be drawn.

    `size` is its height (length for fish, diameter for balls) in metres on the stage, which is not a
    zoo: small animals are drawn large enough to be seen. `family` says how it moves, `actions` what it
    can be seen doing, `relatives` are looked for there by a flaw. `look` is for its painter.
    """

    family: str
    size: float
    colour: Colour
    paint: Painter
    actions: frozenset[str]
    look: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Actor:
    """One thing in a scene. Painted in the order of `depth`, far to near."""

    name: str
    kind: str
    is_: Kind
    size: float
    colour: Colour
    motion: Motion
    depth: float
    variant: int = 0
    action: str | None = None
    moving: bool = True

    def with_motion(self, motion: Motion) -> Actor:
        return replace(self, motion=motion)
