"""Four-legged animals: one body plan, a row of proportions each."""

from __future__ import annotations

import numpy as np

from evals.worlds.actors import Actor, Kind, Pose
from evals.worlds.brush import COLOURS, Canvas, Colour, Point, circle, mix, rotated, smooth, tint

ACTIONS = frozenset({"stand", "walk", "run", "jump", "chase", "lie", "sleep", "eat"})
DARK: Colour = (34, 30, 30)


def _quadruped(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    look, h, f = actor.is_.look, actor.size, pose.facing
    low = actor.action in ("lie", "sleep")
    length, thick = look["length"] * h, look["thick"] * h
    leg = (look["legs"] * h) * (0.3 if low else 1.0)
    colour, base = actor.colour, pose.y
    breath = 0.03 * thick * np.sin(pose.phase) if low else 0.0
    bob = 0.05 * h * pose.stride * np.sin(2 * pose.phase)
    centre = np.array([pose.x, base + leg + thick * 0.42 + bob])

    def at(along: float, up: float) -> Point:
        """A place on the body: along it from tail (−1) to chest (1), and up in thicknesses."""
        turned = rotated(np.array([[f * along * length / 2, up * thick]]), pose.angle * f)[0]
        return (float(centre[0] + turned[0]), float(centre[1] + turned[1]))

    def leg_at(along: float, phase: float, shade: float, fore: bool) -> None:
        hip = at(along, -0.12)
        wide = look.get("leg", 0.13) * h
        swing = 0.75 * pose.stride * np.sin(phase)
        lift = leg * 0.34 * pose.stride * max(0.0, np.cos(phase))
        reach = hip[1] - base if pose.angle == 0 and not low else leg + 0.3 * thick
        foot = (hip[0] + f * np.sin(swing) * reach, hip[1] - np.cos(swing) * reach + lift)
        bend = (0.1 if fore else -0.1) * f + (0.2 if fore else -0.2) * f * lift / max(leg, 1e-6)
        knee = ((hip[0] + foot[0]) / 2 + bend * reach * 0.6, (hip[1] + foot[1]) / 2)
        canvas.limb(hip, knee, wide * 1.35, wide, tint(colour, shade))
        canvas.limb(knee, foot, wide, wide * 0.72, tint(colour, shade))
        canvas.polygon(
            circle(wide * 0.62, wide * 0.32) + np.array([foot[0] + f * wide * 0.2, foot[1] + wide * 0.22]),
            tint(look.get("hoof", tint(colour, 0.6)), shade),
        )

    gallop = pose.stride > 0.75
    order = (0.0, 0.5, 2.4, 2.9) if gallop else (0.0, np.pi, np.pi / 2, 3 * np.pi / 2)
    _tail(canvas, actor, pose, at)
    leg_at(0.72, pose.phase + order[1], 0.72, True)
    leg_at(-0.72, pose.phase + order[3], 0.72, False)
    spine = np.array([
        (-1.0, 0.1), (-0.85, 0.45), (-0.3, look.get("back", 0.42)), (0.35, 0.42), (0.9, 0.48), (1.08, 0.1),
        (0.85, -0.4), (0.2, -0.46), (-0.4, -0.4), (-0.9, -0.34),
    ])  # fmt: skip
    outline = smooth(np.array([at(x, y + (breath / thick if y > 0 else 0)) for x, y in spine]))
    canvas.shaded(outline, colour)
    for hump in look.get("humps", ()):
        canvas.shaded(
            smooth(np.array([at(hump + x, y) for x, y in ((-0.3, 0.3), (0, 1.0), (0.3, 0.3))])), colour
        )
    _pattern(canvas, actor, at, thick)
    if "shell" in look:
        dome = [at(x, y) for x, y in ((-1.05, -0.1), (-0.8, 0.5), (0, 0.85), (0.8, 0.5), (1.05, -0.1))]
        canvas.shaded(smooth(np.array(dome)), tint(colour, 0.62))
        for x in (-0.5, 0.0, 0.5):
            canvas.polygon(circle(0.16 * length / 2, 0.17 * thick) + np.array(at(x, 0.35)), tint(colour, 0.8))
    leg_at(0.62, pose.phase + order[0], 1.0, True)
    leg_at(-0.62, pose.phase + order[2], 1.0, False)
    _head(canvas, actor, pose, at(0.88, 0.25))


def _pattern(canvas: Canvas, actor: Actor, at: object, thick: float) -> None:
    pattern = actor.is_.look.get("pattern")
    if pattern is None or not callable(at):
        return
    rng = np.random.default_rng(actor.variant)
    dark = actor.is_.look.get("marks", tint(actor.colour, 0.35))
    for _ in range({"spots": 16, "patches": 5, "giraffe": 15}[pattern]):
        x, y = rng.uniform(-0.85, 0.85), rng.uniform(-0.26, 0.36)
        radius = thick * {"spots": 0.055, "patches": 0.19, "giraffe": 0.12}[pattern] * rng.uniform(0.8, 1.2)
        canvas.polygon(circle(radius * 1.2, radius, 9) + np.array(at(x, y)), dark)


def _tail(canvas: Canvas, actor: Actor, pose: Pose, at: object) -> None:
    assert callable(at)
    look, h, f = actor.is_.look, actor.size, pose.facing
    kind, root = look.get("tail", "thin"), at(-0.95, 0.25)
    wag = 0.12 * h * np.sin(pose.phase * 1.7)
    if kind == "none":
        return
    if kind == "stub":
        canvas.disc(root, 0.09 * h, tint(actor.colour, 1.25))
    elif kind == "bushy":
        plume = np.array(
            [(0.02, -0.08), (-0.2, 0.02), (-0.42, 0.42), (-0.28, 0.72), (-0.1, 0.5), (0.03, 0.1)]
        )
        canvas.shaded(smooth(plume * [f * h, h] + np.array(root) + [0, wag * 0.3]), actor.colour)
    elif kind == "horse":
        canvas.line([root, (root[0] - f * 0.16 * h, root[1] - 0.1 * h),
                     (root[0] - f * 0.2 * h + wag * 0.6, root[1] - 0.5 * h)], 0.1 * h, tint(actor.colour,
                         0.5))  # fmt: skip
    else:
        up = look.get("tail_up", -0.35)
        middle = (root[0] - f * 0.22 * h, root[1] + up * 0.4 * h + wag * 0.4)
        end = (root[0] - f * 0.34 * h + wag * 0.3, root[1] + up * h)
        canvas.line([root, middle, end], 0.06 * h * look.get("tail_width", 1.0), tint(actor.colour, 0.9))
        if kind == "tuft":
            canvas.disc(end, 0.055 * h, tint(actor.colour, 0.5))


def _head(canvas: Canvas, actor: Actor, pose: Pose, root: Point) -> None:
    look, h, f = actor.is_.look, actor.size, pose.facing
    down = actor.action in ("eat", "sleep")
    lift = look.get("neck_angle", 0.8)
    nod = 0.06 * np.sin(2 * pose.phase) * (1 if pose.stride else 0)
    if down:
        lift = -0.75 + 0.12 * np.sin(pose.phase) if actor.action == "eat" else -0.25
    neck, size = look.get("neck", 0.3) * h, look.get("head", 0.2) * h
    if down and actor.action == "eat" and "graze_up" in look:
        lift = look["neck_angle"] + 0.1 * np.sin(pose.phase)
    place = (root[0] + f * np.cos(lift + nod) * neck, root[1] + np.sin(lift + nod) * neck)
    colour = look.get("head_colour", actor.colour)
    wide = look.get("neck_width", 0.24) * h
    if look.get("mane") == "lion":
        canvas.polygon(circle(size * 1.55, size * 1.6) + np.array(place), tint(actor.colour, 0.5))
    canvas.limb(root, place, wide, wide * 0.75, tint(actor.colour, 0.94))
    if look.get("mane") == "horse":
        back = [
            (root[0] - f * wide * 0.5, root[1] + wide * 0.2),
            (place[0] - f * wide * 0.45, place[1] + size * 0.4),
        ]
        canvas.line(back, 0.1 * h, tint(actor.colour, 0.45))
    if look.get("pattern") == "giraffe":
        for share in (0.25, 0.5, 0.75):
            spot = (root[0] + (place[0] - root[0]) * share, root[1] + (place[1] - root[1]) * share)
            canvas.polygon(circle(wide * 0.24, wide * 0.2, 8) + np.array(spot), tint(actor.colour, 0.45))
    _ears(canvas, actor, place, size, far=True)
    canvas.shaded(circle(size * 1.05, size * 0.92) + np.array(place), colour)
    tilt = -0.3 if not down else -0.9
    long = look.get("snout", 0.9) * size
    nose = (place[0] + f * np.cos(tilt) * (size * 0.6 + long), place[1] + np.sin(tilt) * (size * 0.6 + long))
    canvas.limb(place, nose, size * 1.15, size * look.get("snout_width", 0.62), colour)
    if look.get("trunk"):
        sway = 0.08 * h * np.sin(pose.phase)
        curve = [place, (place[0] + f * 0.3 * h, place[1] - 0.08 * h), (place[0] + f * 0.36 * h,
            place[1] - 0.34 * h),
                 (place[0] + f * 0.4 * h + sway, place[1] - 0.56 * h)]  # fmt: skip
        canvas.line(curve, 0.1 * h, tint(colour, 0.95))
        canvas.limb((place[0] + f * 0.16 * h, place[1] - 0.12 * h), (place[0] + f * 0.4 * h,
            place[1] - 0.2 * h),
                    0.05 * h, 0.02 * h, (238, 234, 216))  # fmt: skip
    else:
        canvas.disc(nose, size * 0.2, DARK)
    _ears(canvas, actor, place, size, far=False)
    eye = (place[0] + f * size * 0.36, place[1] + size * 0.28)
    if "eye_patch" in look:
        canvas.disc(eye, size * 0.36, look["eye_patch"])
    if actor.action == "sleep":
        canvas.line([(eye[0] - size * 0.15, eye[1]), (eye[0] + size * 0.15, eye[1])], size * 0.1, DARK)
    else:
        canvas.disc(eye, size * 0.14, DARK)


def _ears(canvas: Canvas, actor: Actor, place: Point, size: float, far: bool) -> None:
    look = actor.is_.look
    kind, dx = look.get("ears", "point"), -0.15 if far else 0.18
    if kind == "none":
        return
    colour = tint(look.get("ear_colour", actor.colour), 0.7 if far else 0.84)
    x, y = place[0] + dx * size, place[1] + 0.7 * size
    if kind == "point":
        ear = np.array([(-0.34, 0.0), (0.3, 0.0), (-0.02, 0.85)])
    elif kind == "flop":
        x -= 0.3 * size
        ear = smooth(np.array([(-0.3, 0.25), (0.25, 0.25), (0.15, -0.95), (-0.35, -0.9)]))
    elif kind == "long":
        ear = smooth(np.array([(-0.24, 0.0), (0.24, 0.0), (0.2, 1.9), (-0.3, 1.9)]))
    elif kind == "round":
        ear = circle(0.38) + np.array([0.0, 0.16])
    else:  # large, an elephant's
        if far:
            return
        x, y = place[0] - 0.3 * size, place[1]
        ear = smooth(np.array([(-0.9, 0.8), (0.2, 0.7), (0.25, -0.5), (-0.4, -1.1), (-1.1, -0.2)]))
    canvas.polygon(ear * size + np.array([x, y]), colour)


def _kind(
    size: float, colour: str | Colour, length: float, thick: float, legs: float, **look: object
) -> Kind:
    body = COLOURS[colour] if isinstance(colour, str) else colour
    marks = {"length": length, "thick": thick, "legs": legs, **look}
    return Kind("quadruped", size, body, _quadruped, ACTIONS, marks)


_FUR = mix(COLOURS["brown"], COLOURS["golden"], 0.4)
QUADRUPEDS: dict[str, Kind] = {
    "dog": _kind(0.85, "brown", 1.15, 0.44, 0.5, ears="flop", tail_up=0.35, snout=0.9, neck=0.3, head=0.2),
    "cat": _kind(0.62, "grey", 1.25, 0.42, 0.46, ears="point", tail_up=0.75, snout=0.15, neck=0.2, head=0.24,
                 leg=0.11),
    "fox": _kind(0.66, (206, 98, 40), 1.3, 0.4, 0.48, ears="point", tail="bushy", snout=0.9, neck=0.24,
        head=0.21,
                 snout_width=0.34),
    "rabbit": _kind(0.55, "white", 1.05, 0.6, 0.3, ears="long", tail="stub", snout=0.25, neck=0.18,
        head=0.25),
    "squirrel": _kind(0.5, (170, 74, 36), 1.1, 0.52, 0.3, ears="point", tail="bushy", snout=0.3, neck=0.2,
        head=0.23),
    "horse": _kind(1.65, "brown", 1.1, 0.38, 0.56, ears="point", tail="horse", mane="horse", neck=0.5,
        head=0.12,
                   snout=1.6, neck_angle=0.95, leg=0.1, hoof=DARK),
    "cow": _kind(1.4, "white", 1.3, 0.5, 0.44, ears="flop", tail="tuft", pattern="patches", neck=0.26,
        head=0.16,
                 snout=1.0, neck_angle=0.5, leg=0.12, marks=DARK, hoof=DARK),
    "goat": _kind(0.9, "white", 1.15, 0.46, 0.5, ears="flop", tail="stub", neck=0.3, head=0.17, snout=0.9,
        leg=0.1,
                  hoof=DARK),
    "elephant": _kind(1.7, "grey", 1.05, 0.56, 0.42, ears="large", tail="tuft", trunk=True, neck=0.2,
        head=0.21,
                      neck_width=0.4, snout=0.2, leg=0.19, neck_angle=0.35),
    "giraffe": _kind(1.7, "yellow", 0.85, 0.36, 0.66, ears="point", tail="tuft", pattern="giraffe", neck=0.85,
                     neck_angle=1.15, head=0.11, snout=1.4, leg=0.09, neck_width=0.17, marks=(140, 84, 36),
                     graze_up=True),
    "camel": _kind(1.6, _FUR, 1.05, 0.4, 0.56, ears="point", tail="tuft", humps=(-0.3, 0.35), neck=0.5,
                   neck_angle=0.7, head=0.12, snout=1.4, leg=0.1),
    "lion": _kind(1.15, (206, 164, 92), 1.25, 0.44, 0.46, ears="round", tail="tuft", mane="lion", neck=0.22,
                  head=0.19, snout=0.6),
    "cheetah": _kind(0.95, (222, 182, 96), 1.5, 0.36, 0.54, ears="round", tail="thin", pattern="spots",
        neck=0.25,
                     head=0.15, snout=0.5, leg=0.1, tail_width=1.2),
    "bear": _kind(1.25, "brown", 1.25, 0.58, 0.36, ears="round", tail="none", neck=0.22, head=0.21, snout=0.8,
                  leg=0.2, neck_width=0.36),
    "panda": _kind(1.15, "white", 1.15, 0.62, 0.34, ears="round", tail="none", neck=0.2, head=0.25, snout=0.5,
                   leg=0.2, ear_colour=DARK, eye_patch=DARK, hoof=DARK),
    "pig": _kind(0.85, "pink", 1.35, 0.6, 0.3, ears="point", tail="stub", neck=0.16, head=0.23, snout=0.5,
                 snout_width=0.8, leg=0.13),
    "sheep": _kind(0.9, "white", 1.2, 0.66, 0.34, ears="flop", tail="stub", neck=0.2, head=0.18, snout=0.6,
                   head_colour=(60, 54, 52), ear_colour=(60, 54, 52), leg=0.09, hoof=DARK, back=0.55),
    "tortoise": _kind(0.55, "green", 1.7, 0.75, 0.22, ears="none", tail="stub", shell=True, neck=0.3,
        head=0.18,
                      snout=0.2, neck_angle=0.3),
}  # fmt: skip
