"""People: a jointed figure in clothes that walks, runs, jumps, throws, catches and rests."""

from __future__ import annotations

import numpy as np

from evals.worlds.actors import Actor, Kind, Painter, Pose
from evals.worlds.brush import COLOURS, Canvas, Colour, Point, circle, mix, rotated, tint

SKIN: tuple[Colour, ...] = ((240, 200, 170), (214, 160, 120), (150, 100, 70), (96, 64, 46))
HAIR: tuple[Colour, ...] = ((50, 36, 28), (120, 76, 40), (206, 168, 96), (30, 28, 30))
TROUSERS: tuple[Colour, ...] = ((48, 60, 92), (84, 74, 62), (60, 60, 64), (38, 70, 74))

ACTIONS = frozenset(
    {"stand", "walk", "run", "jump", "chase", "throw", "catch", "kick", "wave", "stretch", "sit", "swing",
     "lie", "sleep"}
)  # fmt: skip


def _joint(a: Point, b: Point, bend: float) -> Point:
    """A knee or elbow between two points, pushed sideways by `bend` of their distance."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    return ((a[0] + b[0]) / 2 - dy * bend, (a[1] + b[1]) / 2 + dx * bend)


def _person(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    h, f = actor.size, pose.facing
    head = h * float(actor.is_.look.get("head", 0.075))
    skin, hair = SKIN[actor.variant % 4], HAIR[(actor.variant // 4) % 4]
    trousers = TROUSERS[(actor.variant // 16) % 4]
    shirt = actor.colour
    sitting, lying = actor.action in ("sit", "swing"), actor.action in ("lie", "sleep")
    if lying:
        _lying(canvas, pose, h, head, skin, hair, shirt, trousers)
        return
    lean = 0.16 * pose.stride * f
    leg = 0.47 * h
    hip = (pose.x, pose.y + (0.2 * h if sitting else leg * (1 - 0.07 * pose.stride)))
    neck = (hip[0] + np.sin(lean) * 0.34 * h, hip[1] + np.cos(lean) * 0.34 * h)

    def leg_at(phase: float, shade: float) -> None:
        swing = 0.85 * pose.stride * np.sin(phase)
        lift = 0.36 * leg * pose.stride * max(0.0, np.cos(phase))
        if sitting:
            foot = (hip[0] + f * 0.3 * h, hip[1] - 0.2 * h)
            knee = (hip[0] + f * 0.25 * h, hip[1] + 0.03 * h)
        else:
            foot = (hip[0] + f * np.sin(swing) * leg, hip[1] - np.cos(swing) * leg + lift)
            knee = _joint(hip, foot, f * (0.05 + 0.28 * lift / leg))
        canvas.limb(hip, knee, 0.115 * h, 0.09 * h, tint(trousers, shade))
        canvas.limb(knee, foot, 0.09 * h, 0.065 * h, tint(trousers, shade))
        shoe = rotated(circle(0.075 * h, 0.036 * h), 0) + np.array(
            [foot[0] + f * 0.03 * h, foot[1] + 0.03 * h]
        )
        canvas.polygon(shoe, tint((60.0, 48.0, 44.0), shade))

    def arm_at(phase: float, shade: float, raised: float) -> None:
        swing = (0.9 * pose.stride * np.sin(phase)) * (1 - raised) + raised * 2.5
        shoulder = (neck[0], neck[1] - 0.045 * h)
        hand = (shoulder[0] + f * np.sin(swing) * 0.36 * h, shoulder[1] - np.cos(swing) * 0.36 * h)
        elbow = _joint(shoulder, hand, -f * (0.06 + 0.22 * pose.stride) * (1 - raised))
        canvas.limb(shoulder, elbow, 0.085 * h, 0.07 * h, tint(shirt, shade))
        canvas.limb(elbow, hand, 0.065 * h, 0.05 * h, tint(skin, shade))
        canvas.disc(hand, 0.03 * h, tint(skin, shade))

    both = pose.act if actor.action in ("catch", "stretch", "wave") else 0.0
    arm_at(pose.phase, 0.78, both if actor.action != "wave" else 0.0)
    leg_at(pose.phase + np.pi, 0.8)
    leg_at(pose.phase, 1.0)
    middle = ((hip[0] + neck[0]) / 2, (hip[1] + neck[1]) / 2)
    canvas.limb(hip, neck, 0.17 * h, 0.2 * h, tint(shirt, 0.85))
    canvas.limb((hip[0], hip[1] + 0.02 * h), neck, 0.13 * h, 0.16 * h, shirt)
    canvas.disc((middle[0] - 0.03 * h, middle[1] + 0.06 * h), 0.035 * h, tint(shirt, 1.12))
    if actor.is_.look.get("skirt"):
        hem = [(-0.13, -0.2), (0.13, -0.2), (0.08, 0.04), (-0.08, 0.04)]
        canvas.polygon(np.array(hem) * h + np.array(hip), tint(shirt, 0.92))
    face = (neck[0] + np.sin(lean) * head, neck[1] + head * 1.05)
    canvas.limb(neck, face, 0.07 * h, 0.07 * h, tint(skin, 0.86))
    if actor.is_.look.get("long_hair"):
        canvas.polygon(
            circle(head * 1.1, head * 1.5) + np.array([face[0] - f * head * 0.35, face[1] - head * 0.4]), hair
        )
    canvas.disc(face, head, skin)
    cap = circle(head * 1.06)
    canvas.polygon(
        cap[cap[:, 1] > 0.1 * head] * [1, 1] + np.array([face[0] - f * head * 0.12, face[1] + 0.06 * head]),
        hair,
    )
    canvas.disc((face[0] + f * head * 0.5, face[1] + head * 0.02), head * 0.13, (30, 26, 26))
    arm_at(pose.phase + np.pi, 1.0, pose.act)


def _lying(
    canvas: Canvas, pose: Pose, h: float, head: float, skin: Colour, hair: Colour, shirt: Colour, legs: Colour
) -> None:
    breath = 0.012 * h * np.sin(pose.phase)
    y = pose.y + 0.09 * h
    x, f = pose.x, pose.facing
    canvas.limb((x - f * 0.02 * h, y), (x - f * 0.48 * h, y - 0.03 * h), 0.12 * h, 0.08 * h, legs)
    canvas.limb((x, y), (x + f * 0.3 * h, y + breath), 0.17 * h, 0.19 * h + 2 * breath, shirt)
    canvas.disc((x + f * (0.32 * h + head), y + 0.01 * h), head, skin)
    canvas.disc((x + f * (0.36 * h + head), y + 0.04 * h), head * 0.85, hair)


def _seen(size: float, **look: object) -> Kind:
    paint: Painter = _person
    return Kind("person", size, COLOURS["blue"], paint, ACTIONS, dict(look))


PEOPLE: dict[str, Kind] = {
    "person": _seen(1.75), "man": _seen(1.8), "woman": _seen(1.7, long_hair=True, skirt=True),
    "boy": _seen(1.3, head=0.095), "girl": _seen(1.28, head=0.095, long_hair=True, skirt=True),
    "child": _seen(1.25, head=0.1), "teenager": _seen(1.6, head=0.082), "toddler": _seen(0.95, head=0.125),
    "student": _seen(1.7), "jogger": _seen(1.75), "gardener": _seen(1.75), "worker": _seen(1.8),
    "musician": _seen(1.75),
}  # fmt: skip
PEOPLE_COLOURS: tuple[Colour, ...] = tuple(
    mix(COLOURS[c], (128, 128, 128), 0.12) for c in ("red", "blue", "green", "yellow", "purple", "orange")
)
