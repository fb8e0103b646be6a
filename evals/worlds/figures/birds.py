"""Winged animals (birds, bats, butterflies) and those of the water."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evals.worlds.actors import Actor, Kind, Pose
from evals.worlds.brush import COLOURS, Canvas, Colour, Points, circle, mix, rotated, smooth, tint

BEAK: Colour = (236, 150, 40)
DARK: Colour = (30, 28, 30)
BIRD = frozenset({"fly", "walk", "run", "swim", "stand", "jump", "chase"})
FLYER = frozenset({"fly"})
SWIMMER = frozenset({"swim", "jump", "drift"})


def _bird(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    look, s, f = actor.is_.look, actor.size, pose.facing
    flying, swimming = actor.action == "fly", actor.action == "swim"
    legs = 0.0 if flying or swimming else look.get("legs", 0.22) * s
    body = np.array([pose.x, pose.y + legs + (0.18 * s if not flying else 0.0)])
    colour, wing = actor.colour, look.get("wing", tint(actor.colour, 0.75))

    def put(points: list[tuple[float, float]]) -> Points:
        shape = smooth(np.array(points, np.float64)) * [f * s, s]
        return np.asarray(rotated(shape, pose.angle * f) + body, np.float64)

    for side, shade in ((np.pi, 0.7), (0.0, 1.0)) if legs else ():
        swing = 0.7 * pose.stride * np.sin(pose.phase + side)
        foot = (
            body[0] + f * np.sin(swing) * legs,
            pose.y + 0.3 * legs * pose.stride * max(0.0, np.cos(pose.phase + side)),
        )
        colour_leg = tint(look.get("leg_colour", BEAK), shade)
        canvas.line([(body[0], body[1] - 0.1 * s), foot], 0.045 * s, colour_leg)
        canvas.line([foot, (foot[0] + f * 0.09 * s, foot[1])], 0.04 * s, colour_leg)
    flap = float(np.sin(pose.phase)) * look.get("flap", 1.0)
    if flying:
        canvas.polygon(
            put([(0.1, 0.02), (-0.16, 0.02), (-0.22, 0.6 * flap), (0.02, 0.66 * flap)]), tint(wing, 0.78)
        )
    canvas.polygon(put([(-0.3, 0.04), (-0.62, 0.1), (-0.6, -0.06), (-0.3, -0.06)]), tint(wing, 0.9))
    canvas.shaded(
        put([(-0.42, 0.06), (-0.1, 0.2), (0.26, 0.16), (0.36, 0.0), (0.2, -0.18), (-0.14, -0.2)]), colour
    )
    if "belly" in look:
        canvas.polygon(put([(-0.1, -0.02), (0.3, 0.02), (0.24, -0.17), (-0.04, -0.18)]), look["belly"])
    neck = look.get("neck", 0.12)
    stretch = 0.9 if flying else 0.3
    nod = 0.02 * np.sin(2 * pose.phase) if legs else 0.0
    head = np.array(
        [0.26 + neck * (stretch if flying else 0.25) + nod, 0.12 + neck * (0.25 if flying else 1.0)]
    )
    place = rotated(head[None] * [f * s, s], pose.angle * f)[0] + body
    shoulder = rotated(np.array([[f * 0.24 * s, 0.06 * s]]), pose.angle * f)[0] + body
    canvas.limb((shoulder[0], shoulder[1]), (place[0], place[1]), 0.16 * s, 0.1 * s, tint(colour, 0.96))
    radius = look.get("head", 0.1) * s
    canvas.disc((place[0], place[1]), radius, look.get("head_colour", colour))
    beak = np.array([(0.6, 0.35), (0.6, -0.35), (0.6 + look.get("beak", 1.2), -0.1)]) * radius
    canvas.polygon(beak * [f, 1] + place, look.get("beak_colour", BEAK))
    canvas.disc((place[0] + f * radius * 0.35, place[1] + radius * 0.2), radius * 0.2, DARK)
    if look.get("comb"):
        canvas.polygon(circle(radius * 0.5, radius * 0.4) + place + [0, radius * 0.95], COLOURS["red"])
    if flying:
        canvas.polygon(
            put(
                [(0.16, 0.06), (-0.24, 0.06), (-0.36, 0.72 * flap), (-0.12, 0.82 * flap), (0.06, 0.5 * flap)]
            ),
            wing,
        )
    elif look.get("upright"):
        canvas.polygon(put([(0.08, 0.1), (-0.12, 0.08), (-0.2, -0.16), (-0.02, -0.1)]), wing)
    else:
        canvas.polygon(put([(0.14, 0.06), (-0.1, 0.14), (-0.46, 0.06), (-0.2, -0.1), (0.08, -0.08)]), wing)
    if swimming:
        ripple(canvas, pose.x, pose.y + 0.02 * s, 0.55 * s)


def ripple(canvas: Canvas, x: float, y: float, half: float) -> None:
    """Where something stands in the water."""
    canvas.veil(circle(half, half * 0.2) + np.array([x, y - half * 0.1]), (70.0, 120.0, 150.0), 0.75)
    canvas.veil(circle(half * 0.8, half * 0.08) + np.array([x, y - half * 0.04]), (210.0, 230.0, 240.0), 0.5)


def _penguin(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, f = actor.size, pose.facing
    tilt = 0.14 * np.sin(pose.phase) * (1 if pose.stride else 0)
    base = np.array([pose.x, pose.y])

    def put(points: Points) -> Points:
        return np.asarray(rotated(points * [f * s, s], tilt) + base, np.float64)

    for side in (-0.1, 0.1):
        lift = 0.05 * max(0.0, float(np.sin(pose.phase + (np.pi if side < 0 else 0)))) * (pose.stride > 0)
        canvas.polygon(put(circle(0.1, 0.035) + [side + 0.04, 0.03 + lift]), BEAK)
    canvas.shaded(put(circle(0.25, 0.4) + [0, 0.43]), actor.colour)
    canvas.polygon(put(circle(0.17, 0.31) + [0.07, 0.4]), COLOURS["white"])
    canvas.polygon(put(circle(0.15, 0.14) + [0.02, 0.84]), actor.colour)
    canvas.polygon(put(np.array([(0.14, 0.88), (0.14, 0.8), (0.3, 0.82)])), BEAK)
    canvas.polygon(put(circle(0.07, 0.07) + [0.07, 0.85]), COLOURS["white"])
    canvas.polygon(put(circle(0.03, 0.03) + [0.08, 0.86]), DARK)
    canvas.polygon(
        put(smooth(np.array([(-0.02, 0.66), (-0.2, 0.3), (-0.1, 0.26), (0.04, 0.5)]))),
        tint(actor.colour, 0.7),
    )


def _butterfly(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, open_ = actor.size, 0.25 + 0.75 * abs(float(np.sin(pose.phase)))
    centre = np.array([pose.x, pose.y])
    bat = actor.kind == "bat"
    for side in (-1, 1):
        upper = np.array([(0, 0.05), (0.5, 0.5), (0.62, 0.2), (0.1, -0.05)])
        lower = np.array([(0, 0.0), (0.46, -0.02), (0.36, -0.42), (0.04, -0.14)])
        if bat:
            upper = np.array([(0, 0.1), (0.4, 0.36), (0.85, 0.3), (0.6, -0.1), (0.3, 0.0), (0.1, -0.12)])
            upper = upper * [1, 0.4 + open_ * 0.6 * np.sign(np.sin(pose.phase))]
        width = (0.6 + 0.4 * open_) if bat else open_
        canvas.polygon((smooth(upper, 1 if bat else 2) * [side * width, 1]) * s + centre, actor.colour)
        if not bat:
            canvas.polygon(smooth(lower) * [side * width, 1] * s + centre, tint(actor.colour, 0.75))
            canvas.polygon(circle(0.09) * [width, 1] * s + centre + np.array([side * 0.42 * width, 0.24]) * s,
                           tint(actor.colour, 1.5))  # fmt: skip
    canvas.polygon(circle(0.06 if not bat else 0.12, 0.28) * s + centre, DARK)


def _fish(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, f = actor.size, pose.facing
    dolphin = actor.is_.look.get("dolphin", False)
    wave = 0.14 * float(np.sin(pose.phase))
    along = np.array([0.5, 0.36, 0.1, -0.2, -0.42])
    half = np.array([0.02, 0.1, 0.15, 0.1, 0.03]) * actor.is_.look.get("fat", 1.2)
    bend = wave * np.clip(-along + 0.1, 0, None) * (1.0 if dolphin else 0.7)
    top, low = np.stack([along, half + bend], 1), np.stack([along, -half + bend], 1)[::-1]

    def put(points: Points) -> Points:
        return np.asarray(
            rotated(points * [f * s, s], pose.angle * f) + np.array([pose.x, pose.y]), np.float64
        )

    y = float(bend[-1])
    tail = [(-0.38, y), (-0.64, y * 2 + 0.17), (-0.56, y * 1.8), (-0.64, y * 2 - 0.17)]
    canvas.polygon(put(np.array(tail)), tint(actor.colour, 0.8))
    canvas.polygon(
        put(np.array([(0.12, 0.12), (-0.08, 0.3 if dolphin else 0.26), (-0.14, 0.1)])),
        tint(actor.colour, 0.7),
    )
    canvas.shaded(put(smooth(np.concatenate([top, low]))), actor.colour)
    if dolphin:
        canvas.polygon(put(smooth(np.array([(0.44, -0.03), (0.3, -0.1), (0, -0.14), (-0.2, -0.08), (0.1,
            -0.06)]))),
                       tint(actor.colour, 1.5))  # fmt: skip
        canvas.polygon(put(np.array([(0.46, 0.02), (0.6, -0.01), (0.46, -0.04)])), tint(actor.colour, 0.9))
    else:
        for x in (0.12, -0.08):
            canvas.line(put(np.array([(x, 0.1), (x - 0.03, -0.1)])), 0.035 * s, tint(actor.colour, 1.35))
    canvas.polygon(put(np.array([(0.12, -0.06), (0.0, -0.24), (-0.04, -0.06)])), tint(actor.colour, 0.72))
    canvas.polygon(put(circle(0.035) + [0.36, 0.04]), (250, 250, 250))
    canvas.polygon(put(circle(0.02) + [0.365, 0.04]), DARK)


def _turtle(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, f = actor.size, pose.facing
    paddle = float(np.sin(pose.phase))
    centre = np.array([pose.x, pose.y])

    def put(points: ArrayLike) -> Points:
        return np.asarray(np.asarray(points) * [f * s, s] + centre, np.float64)

    canvas.polygon(put([(-0.3, 0.0), (-0.52, -0.1 - 0.1 * paddle), (-0.36, -0.14)]), tint(actor.colour, 0.9))
    canvas.shaded(put(circle(0.12, 0.09) + [0.48, 0.05]), actor.colour)
    canvas.polygon(put(circle(0.02) + [0.52, 0.08]), DARK)
    shell = smooth(
        np.array([(-0.42, -0.04), (-0.3, 0.16), (0.05, 0.24), (0.36, 0.1), (0.4, -0.06), (0, -0.12)])
    )
    canvas.shaded(put(shell), tint(actor.colour, 0.6))
    for x, y in ((-0.2, 0.06), (0.02, 0.11), (0.22, 0.05)):
        canvas.polygon(put(circle(0.08, 0.06, 6) + [x, y]), tint(actor.colour, 0.85))
    fin = smooth(
        np.array([(0.24, -0.04), (0.12, -0.1), (-0.06, -0.2 - 0.24 * paddle), (0.0, -0.1 - 0.2 * paddle)])
    )
    canvas.polygon(put(fin), actor.colour)


def _jellyfish(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, pulse = actor.size, 1 + 0.16 * float(np.sin(pose.phase))
    centre = np.array([pose.x, pose.y])
    for k in range(6):
        x = (k - 2.5) * 0.1 * s * pulse
        trail = [
            (centre[0] + x + 0.05 * s * np.sin(pose.phase + k + j), centre[1] - j * 0.16 * s)
            for j in range(5)
        ]
        canvas.line(trail, 0.025 * s, tint(actor.colour, 0.85))
    dome = smooth(np.array([(-0.36, -0.02), (-0.3, 0.26), (0, 0.36), (0.3, 0.26), (0.36, -0.02), (0, 0.06)]))
    canvas.shaded(dome * [s * pulse, s / pulse] + centre, actor.colour)


def _frog(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, f = actor.size, pose.facing
    stretch = pose.act
    centre = np.array([pose.x, pose.y + 0.3 * s])

    def put(points: ArrayLike) -> Points:
        return np.asarray(rotated(np.asarray(points) * [f * s, s], pose.angle * f) + centre, np.float64)

    canvas.line(put([(-0.3, -0.05), (-0.5 - 0.3 * stretch, -0.02 - 0.1 * stretch), (-0.3 - 0.75 * stretch,
        -0.26)]),
                0.14 * s, tint(actor.colour, 0.8))  # fmt: skip
    canvas.shaded(put(smooth(np.array([(-0.46, -0.12), (-0.3, 0.14), (0.2, 0.3), (0.5, 0.12), (0.42, -0.1),
        (0, -0.2)]))),
                  actor.colour)  # fmt: skip
    canvas.line(put([(0.2, -0.1), (0.26 + 0.2 * stretch, -0.28)]), 0.1 * s, tint(actor.colour, 0.85))
    canvas.polygon(put(circle(0.1) + [0.3, 0.28]), tint(actor.colour, 1.2))
    canvas.polygon(put(circle(0.05) + [0.33, 0.3]), DARK)


def _kind(size: float, colour: str | Colour, **look: object) -> Kind:
    body = COLOURS[colour] if isinstance(colour, str) else colour
    return Kind("bird", size, body, _bird, BIRD, dict(look))


BIRDS: dict[str, Kind] = {
    "duck": _kind(0.75, "brown", head_colour=(38, 92, 60), beak=1.5),
    "swan": _kind(1.0, "white", neck=0.5, beak=1.4),
    "duckling": _kind(0.42, "yellow", head=0.15), "goose": _kind(0.9, "grey", neck=0.32, head_colour=DARK),
    "pigeon": _kind(0.5, "grey", beak=0.8, beak_colour=(90, 80, 80)),
    "eagle": _kind(1.2, "brown", head_colour=COLOURS["white"], beak=1.0, head=0.09),
    "owl": _kind(0.95, "white", head=0.16, beak=0.4, neck=0.04),
    "hen": _kind(0.75, "brown", comb=True, neck=0.2),
    "chick": _kind(0.36, "yellow", head=0.16, neck=0.08),
    "seagull": _kind(0.8, "white", wing=COLOURS["silver"], head=0.09),
    "parrot": _kind(0.8, "green", wing=COLOURS["blue"], head=0.14, beak=0.8, beak_colour=DARK),
    "crow": _kind(0.7, "black", beak_colour=(60, 60, 60)),
    "ostrich": _kind(1.3, "black", legs=0.62, neck=0.62, head=0.07, head_colour=(210, 170, 150),
        leg_colour=(200, 160, 140)),
    "flamingo": _kind(1.15, "pink", legs=0.66, neck=0.5, head=0.07, leg_colour=(220, 120, 150)),
    "hummingbird": _kind(0.5, "green", beak=2.6, head=0.12, beak_colour=DARK, flap=0.9),
    "penguin": Kind("bird", 0.95, COLOURS["black"], _penguin, frozenset({"walk", "stand", "run"})),
    "butterfly": Kind("flyer", 0.42, COLOURS["orange"], _butterfly, FLYER),
    "bat": Kind("flyer", 0.4, COLOURS["black"], _butterfly, FLYER),
    "fish": Kind("swimmer", 0.6, COLOURS["orange"], _fish, SWIMMER),
    "dolphin": Kind("swimmer", 1.5, mix(COLOURS["grey"], COLOURS["blue"], 0.25), _fish, SWIMMER,
        {"dolphin": True, "fat": 0.95}),
    "shark": Kind("swimmer", 1.6, COLOURS["grey"], _fish, SWIMMER, {"fat": 0.9}),
    "turtle": Kind("swimmer", 1.0, COLOURS["green"], _turtle, SWIMMER),
    "jellyfish": Kind("drifter", 0.7, COLOURS["white"], _jellyfish, frozenset({"drift", "swim", "float"})),
    "frog": Kind("hopper", 0.55, COLOURS["green"], _frog, frozenset({"jump", "stand"})),
}  # fmt: skip
