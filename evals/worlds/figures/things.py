"""Things: balls and boxes that obey the physics, and what stands about."""

from __future__ import annotations

import numpy as np

from evals.worlds.actors import Actor, Kind, Pose
from evals.worlds.brush import COLOURS, Canvas, Colour, Points, circle, mix, rotated, smooth, tint

BALL = frozenset({"fall", "bounce", "roll", "fly", "swing", "lie", "float"})
BOX = frozenset({"fall", "slide", "stand", "lie", "bounce"})
STILL = frozenset({"stand", "lie"})
WOOD: Colour = (150, 104, 62)


def _ball(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    r = actor.size / 2
    centre = np.array([pose.x, pose.y])
    dark, light = tint(actor.colour, 0.72), tint(actor.colour, 1.5)
    canvas.polygon(circle(r, n=36) + centre, dark)
    canvas.polygon(circle(r * 0.93, n=36) + centre + [-0.03 * r, 0.05 * r], actor.colour)
    marks = actor.is_.look.get("marks", "stripe")
    if marks == "stripe":
        for side in (0.0, np.pi):
            arc = np.linspace(-0.32, 0.32, 8)
            band = np.concatenate([
                np.stack([np.cos(arc), np.sin(arc)], 1) * 0.9, np.stack([np.cos(arc[::-1]),
                    np.sin(arc[::-1])], 1) * 0.2,
            ])  # fmt: skip
            canvas.polygon(rotated(band * r, pose.angle + side) + centre, mix(actor.colour, light, 0.75))
    elif marks == "seams":
        for points in (np.array([(-0.95, 0), (0.95, 0)]), np.array([(0, -0.95), (0, 0.95)])):
            canvas.line(rotated(points * r, pose.angle) + centre, 0.09 * r, dark)
        for side in (-1, 1):
            bow = np.stack(
                [
                    side * (0.95 - 0.45 * np.cos(np.linspace(-1.2, 1.2, 8))),
                    0.75 * np.sin(np.linspace(-1.2, 1.2, 8)),
                ],
                1,
            )
            canvas.line(rotated(bow * r, pose.angle) + centre, 0.08 * r, dark)
    elif marks == "patches":
        canvas.polygon(rotated(circle(0.34, n=5) * r, pose.angle) + centre, (40, 40, 44))
        for k in range(5):
            place = rotated(np.array([[0.78, 0.0]]), pose.angle + k * 2 * np.pi / 5 + 0.6)[0] * r
            canvas.polygon(rotated(circle(0.2, n=5) * r, pose.angle + k) + centre + place, (40, 40, 44))
    elif marks == "holes":
        for k in range(3):
            place = rotated(np.array([[0.4, 0.0]]), pose.angle + k * 0.7)[0] * r
            canvas.disc((centre[0] + place[0], centre[1] + place[1]), 0.12 * r, (12, 12, 12))
    elif marks == "rim":
        canvas.disc((pose.x, pose.y), 0.55 * r, tint(actor.colour, 1.4))
        canvas.disc((pose.x, pose.y), 0.2 * r, dark)
        canvas.line(rotated(np.array([(-0.5, 0), (0.5, 0)]) * r, pose.angle) + centre, 0.12 * r, dark)
    elif marks == "leaf":
        stem = rotated(np.array([(0, 0.8), (0.05, 1.2)]) * r, pose.angle) + centre
        canvas.line(stem, 0.16 * r, (90, 60, 40))
        canvas.polygon(rotated((circle(0.3, 0.13) + [0.3, 1.15]) * r, pose.angle) + centre, (70, 140, 60))
    elif marks == "rock":
        rng = np.random.default_rng(actor.variant)
        for _ in range(5):
            spot = rotated(rng.uniform(-0.55, 0.55, (1, 2)), pose.angle)[0] * r
            canvas.disc((centre[0] + spot[0], centre[1] + spot[1]), r * rng.uniform(0.08, 0.2), dark)
    canvas.veil(circle(0.3 * r, 0.22 * r) + centre + [-0.36 * r, 0.42 * r], (255, 255, 255), 0.6)


def _box(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    look = actor.is_.look
    half = np.array([look.get("aspect", 1.0) * actor.size, actor.size]) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    centre = np.array([pose.x, pose.y])

    def put(points: Points) -> Points:
        return np.asarray(rotated(points, pose.angle) + centre, np.float64)

    canvas.polygon(put(corners), tint(actor.colour, 0.6))
    canvas.polygon(put(corners * 0.9), actor.colour)
    marks = look.get("marks", "plank")
    if marks == "plank":
        canvas.line(
            put(np.array([(-0.8, 0.0), (0.8, 0.0)]) * half), 0.06 * actor.size, tint(actor.colour, 0.78)
        )
        canvas.line(
            put(np.array([(-0.8, 0.5), (0.6, 0.5)]) * half), 0.04 * actor.size, tint(actor.colour, 1.2)
        )
    elif marks == "dots":
        for x, y in ((0, 0.5), (0.0, -0.5), (0.4, -0.7), (-0.4, -0.3)):
            canvas.polygon(put(circle(0.06 * actor.size) + np.array([x, y]) * half), (30, 30, 30))
        canvas.line(put(np.array([(-0.8, 0.0), (0.8, 0.0)]) * half), 0.04 * actor.size, (60, 60, 60))
    elif marks == "tape":
        canvas.polygon(
            put(np.array([(-0.16, -0.9), (0.16, -0.9), (0.16, 0.9), (-0.16, 0.9)]) * half),
            tint(actor.colour, 1.25),
        )
    elif marks == "pin":
        canvas.polygon(
            put(np.array([(-0.9, 0.35), (0.9, 0.35), (0.9, 0.55), (-0.9, 0.55)]) * half), COLOURS["red"]
        )


def _cart(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s = actor.size
    centre = np.array([pose.x, pose.y])
    body = rotated(np.array([(-0.75, -0.1), (0.75, -0.1), (0.75, 0.42), (-0.75, 0.42)]) * s, 0) + centre
    canvas.polygon(body, tint(actor.colour, 0.65))
    canvas.polygon(centre + (body - centre) * [0.94, 0.86] + [0, 0.01], actor.colour)
    for x in (-0.45, 0.45):
        hub = (centre[0] + x * s, centre[1] - 0.25 * s)
        canvas.disc(hub, 0.25 * s, (44, 44, 48))
        spoke = rotated(np.array([(-0.2, 0), (0.2, 0)]) * s, -pose.x / (0.25 * s)) + np.array(hub)
        canvas.line(spoke, 0.07 * s, (190, 190, 190))


def _tree(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, rng = actor.size, np.random.default_rng(actor.variant)
    x, y = pose.x, pose.y
    sway = 0.012 * s * np.sin(pose.phase)
    wide = (0.17 if actor.is_.look.get("thick") else 0.1) * s
    canvas.limb((x, y - 0.02 * s), (x + sway * 0.4, y + 0.55 * s), wide, wide * 0.6, WOOD)
    canvas.line([(x - wide * 0.2, y), (x - wide * 0.12, y + 0.45 * s)], wide * 0.12, tint(WOOD, 0.7))
    if actor.is_.look.get("cone"):
        for k in range(3):
            low, half = 0.22 + 0.22 * k, 0.27 - 0.06 * k
            tier = np.array([(-half, low), (half, low), (sway / s, low + 0.42)]) * s + [x, y]
            canvas.polygon(tier, tint(actor.colour, 0.62 + 0.14 * k))
        return
    crown = rng.uniform(-1, 1, (9, 2)) * [0.24, 0.17] + [0, 0.7]
    for i, (cx, cy) in enumerate(crown[np.argsort(crown[:, 1])]):
        shade = 0.62 + 0.5 * (cy - 0.53) / 0.34 + 0.04 * (i % 2)
        canvas.disc(
            (x + cx * s + sway * 2, y + cy * s), s * rng.uniform(0.13, 0.19), tint(actor.colour, shade)
        )


def _bench(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    for leg in (-0.75, 0.75):
        canvas.line([(x + leg * s, y), (x + leg * s, y + 0.95 * s)], 0.09 * s, (60, 60, 64))
    for up in (0.46, 0.68, 0.86):
        plank = np.array([(-0.95, up - 0.06), (0.95, up - 0.06), (0.95, up + 0.06), (-0.95, up + 0.06)])
        canvas.polygon(plank * s + [x, y], tint(actor.colour, 0.8 + 0.3 * (up - 0.46)))


def _fence(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    half = actor.is_.look.get("half", 1.0)
    for up in (0.4, 0.78):
        canvas.line(
            [(x - half * s, y + up * s), (x + half * s, y + up * s)], 0.1 * s, tint(actor.colour, 0.9)
        )
    for post in np.linspace(-half, half, max(2, round(half * 3))):
        canvas.line([(x + post * s, y), (x + post * s, y + s)], 0.12 * s, actor.colour)


def _wall(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    half = actor.is_.look.get("half", 0.16) * s
    canvas.polygon(
        np.array([(x - half, y), (x + half, y), (x + half, y + s), (x - half, y + s)]),
        tint(actor.colour, 0.75),
    )
    rows = 8
    for row in range(rows):
        low, high = y + s * row / rows + 0.008 * s, y + s * (row + 1) / rows - 0.008 * s
        shade = 1 + 0.06 * ((row * 7) % 3 - 1)
        canvas.polygon(np.array([(x - half * 0.96, low), (x + half * 0.96, low), (x + half * 0.96, high),
            (x - half * 0.96, high)]),
                       tint(actor.colour, shade))  # fmt: skip


def _ramp(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    canvas.polygon(np.array([(x, y), (x, y + s), (x + 2.2 * s, y)]), tint(actor.colour, 0.8))
    canvas.line([(x, y + s), (x + 2.2 * s, y)], 0.06 * s, tint(actor.colour, 1.25))


def _lamp(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    canvas.line([(x, y), (x, y + 0.86 * s)], 0.035 * s, (52, 54, 58))
    canvas.veil(circle(0.22 * s) + [x, y + 0.92 * s], (255, 240, 190), 0.35)
    canvas.disc((x, y + 0.92 * s), 0.075 * s, mix(actor.colour, (255, 255, 255), 0.4))


def _balloon(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    string = [(x + 0.04 * s * np.sin(pose.phase + k), y - 0.55 * s - k * 0.25 * s) for k in range(4)]
    canvas.line(string, 0.025 * s, (90, 90, 90))
    canvas.polygon(np.array([(-0.06, -0.6), (0.06, -0.6), (0, -0.48)]) * s + [x, y], tint(actor.colour, 0.8))
    canvas.shaded(circle(0.42 * s, 0.52 * s) + [x, y], actor.colour, 1.6)


def _bubble(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    r, centre = actor.size / 2, np.array([pose.x, pose.y])
    canvas.veil(circle(r) + centre, (225, 240, 255), 0.55)
    ring = circle(r * 0.95)
    canvas.line(np.concatenate([ring, ring[:1]]) + centre, 0.05 * r, (200, 170, 220))
    canvas.veil(circle(0.2 * r) + centre + [-0.4 * r, 0.4 * r], (255, 255, 255), 0.9)


def _boat(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s = actor.size
    tilt, centre = pose.angle, np.array([pose.x, pose.y])

    def put(points: list[tuple[float, float]]) -> Points:
        turned = rotated(np.array(points, np.float64) * s * [pose.facing, 1], tilt) + centre
        return np.asarray(turned, np.float64)

    canvas.line(put([(0, 0), (0, 1.0)]), 0.04 * s, WOOD)
    canvas.polygon(put([(0.04, 0.26), (0.5, 0.3), (0.04, 0.98)]), (244, 242, 234))
    canvas.polygon(put([(-0.04, 0.3), (-0.36, 0.32), (-0.04, 0.86)]), (222, 222, 216))
    canvas.polygon(put([(-0.6, 0.2), (0.7, 0.22), (0.46, -0.12), (-0.44, -0.12)]), tint(actor.colour, 0.75))
    canvas.polygon(put([(-0.58, 0.2), (0.68, 0.22), (0.58, 0.08), (-0.52, 0.06)]), actor.colour)
    canvas.veil(circle(0.8 * s, 0.09 * s) + centre + [0, -0.1 * s], (200, 225, 240), 0.6)


def _flat(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    """Leaves, petals, a frisbee, a kite: flat things in the air."""
    s, centre = actor.size, np.array([pose.x, pose.y])
    shape = actor.is_.look["shape"]
    if shape == "kite":
        canvas.line([(pose.x, pose.y - 0.5 * s), (pose.x - 0.2 * s, pose.y - 0.9 * s), (pose.x + 0.1 * s,
            pose.y - 1.3 * s)],
                    0.03 * s, (240, 240, 240))  # fmt: skip
        outline = np.array([(0, 0.6), (0.38, 0.1), (0, -0.55), (-0.38, 0.1)])
        canvas.polygon(rotated(outline * s, pose.angle) + centre, actor.colour)
        canvas.polygon(rotated(outline[[0, 1, 2]] * s, pose.angle) + centre, tint(actor.colour, 0.75))
        return
    if shape == "disc":
        canvas.polygon(rotated(circle(0.5 * s, 0.14 * s), pose.angle) + centre, tint(actor.colour, 0.7))
        canvas.polygon(rotated(circle(0.46 * s, 0.1 * s), pose.angle) + centre + [0, 0.03 * s], actor.colour)
        return
    if shape == "stick":
        ends = rotated(np.array([(-0.5, 0), (0.5, 0)]) * s, pose.angle) + centre
        canvas.line(ends, 0.1 * s, actor.colour)
        return
    turn = 0.35 + 0.65 * abs(np.cos(pose.phase))
    leaf = smooth(np.array([(-0.5, 0), (0, 0.26), (0.5, 0), (0, -0.26)]))
    canvas.polygon(rotated(leaf * [s, s * turn], pose.angle) + centre, tint(actor.colour, 0.75 + 0.3 * turn))


def _flower(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    top = (x + 0.05 * s * np.sin(pose.phase), y + 0.8 * s)
    canvas.line([(x, y), top], 0.06 * s, (60, 130, 60))
    canvas.polygon(circle(0.16 * s, 0.06 * s) + [x + 0.14 * s, y + 0.3 * s], (70, 146, 66))
    for k in range(6):
        angle = k * np.pi / 3
        canvas.disc(
            (top[0] + 0.14 * s * np.cos(angle), top[1] + 0.14 * s * np.sin(angle)), 0.1 * s, actor.colour
        )
    canvas.disc(top, 0.09 * s, (240, 200, 60))


def _cloud(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, rng = actor.size, np.random.default_rng(actor.variant)
    for x, y in rng.uniform(-1, 1, (7, 2)) * [0.5, 0.12]:
        canvas.disc(
            (pose.x + x * s, pose.y + y * s), s * 0.2 * (1.2 - abs(x)), tint(actor.colour, 0.94 + y * 0.4)
        )


def _rock(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, rng = actor.size, np.random.default_rng(actor.variant)
    angles = np.linspace(0.1, np.pi - 0.1, 7)
    top = np.stack([np.cos(angles) * 0.75, np.sin(angles) * 0.8], 1) * rng.uniform(0.85, 1.1, (7, 1))
    outline = np.concatenate([top, [[-0.8, 0.0], [0.8, 0.0]]])
    canvas.shaded(smooth(outline, 1) * s + [pose.x, pose.y], actor.colour)


def _pendulum(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    """`pose` is the bob; `act` holds the rod's length, `angle` its angle."""
    r, length = actor.size / 2, pose.act
    pivot = (pose.x - np.sin(pose.angle) * length, pose.y + np.cos(pose.angle) * length)
    canvas.line([pivot, (pose.x, pose.y)], 0.04 if length < 3 else 0.06, (84, 78, 74))
    canvas.disc(pivot, 0.06, (60, 60, 64))
    if actor.is_.look.get("lamp"):
        shade = rotated(np.array([(-1.3, -0.8), (1.3, -0.8), (0.5, 0.7), (-0.5, 0.7)]) * r, pose.angle)
        canvas.disc((pose.x - 0.4 * r * np.sin(-pose.angle), pose.y - 0.8 * r), 0.5 * r, (255, 240, 180))
        canvas.polygon(shade + [pose.x, pose.y], actor.colour)
        return
    _ball(canvas, actor, Pose(pose.x, pose.y, pose.angle))


def _seat(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, length = actor.size, pose.act
    pivot = (pose.x - np.sin(pose.angle) * length, pose.y + np.cos(pose.angle) * length)
    for side in (-1, 1):
        canvas.line([pivot, (pivot[0] + side * 0.8, pivot[1] - 3.15)], 0.07, (176, 60, 50))
    for side in (-1, 1):
        pivot = (pose.x - np.sin(pose.angle) * length + side * 0.06, pose.y + np.cos(pose.angle) * length)
        canvas.line([pivot, (pose.x + side * 0.2 * s, pose.y)], 0.03, (80, 80, 84))
    plank = rotated(np.array([(-0.4, -0.05), (0.4, -0.05), (0.4, 0.05), (-0.4, 0.05)]) * s, pose.angle)
    canvas.polygon(plank + [pose.x, pose.y], actor.colour)


def _screen(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    panel = np.array([(-0.42, 0), (0.42, 0), (0.42, 1), (-0.42, 1)])
    canvas.polygon(panel * s + [x, y], tint(actor.colour, 0.7))
    canvas.polygon((panel * [0.93, 0.94] + [0, 0.03]) * s + [x, y], actor.colour)


def _fountain(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    s, x, y = actor.size, pose.x, pose.y
    canvas.polygon(np.array([(-0.8, 0.3), (0.8, 0.3), (0.6, 0), (-0.6, 0)]) * s + [x, y], COLOURS["grey"])
    canvas.limb((x, y + 0.2 * s), (x, y + 0.75 * s), 0.2 * s, 0.12 * s, tint(COLOURS["grey"], 1.1))
    rng = np.random.default_rng(actor.variant)
    for _ in range(70):  # drops thrown up again and again, each on its own parabola
        speed, aside, start = rng.uniform(0.75, 1.0), rng.uniform(-0.42, 0.42), rng.uniform()
        life = (pose.phase * 0.35 + start) % 1.0
        drop = (x + aside * life * s, y + (0.75 + 2.2 * speed * life - 2.7 * life * life) * s)
        if drop[1] > y + 0.28 * s:
            canvas.veil(circle(0.035 * s, 0.055 * s, 8) + np.array(drop), (215, 235, 250), 0.85)


def _thing(
    size: float, colour: str | Colour, painter: object, actions: frozenset[str], family: str, **look: object
) -> Kind:
    assert callable(painter)
    return Kind(
        family, size, COLOURS[colour] if isinstance(colour, str) else colour, painter, actions, dict(look)
    )


THINGS: dict[str, Kind] = {
    "ball": _thing(0.42, "red", _ball, BALL, "ball", bounce=0.78),
    "basketball": _thing(0.5, "orange", _ball, BALL, "ball", bounce=0.8, marks="seams"),
    "football": _thing(0.46, "white", _ball, BALL, "ball", bounce=0.65, marks="patches"),
    "tennis-ball": _thing(0.34, "yellow", _ball, BALL, "ball", bounce=0.75, marks="seams"),
    "bowling-ball": _thing(0.6, "black", _ball, BALL, "ball", bounce=0.05, mass=8.0, marks="holes"),
    "snowball": _thing(0.32, "white", _ball, BALL, "ball", bounce=0.05, marks="rock"),
    "apple": _thing(0.34, "red", _ball, BALL, "ball", bounce=0.25, marks="leaf"),
    "stone": _thing(0.36, "grey", _ball, BALL, "ball", bounce=0.12, mass=4.0, marks="rock"),
    "tyre": _thing(0.95, "black", _ball, BALL, "ball", bounce=0.4, mass=3.0, marks="rim"),
    "yarn": _thing(0.4, "red", _ball, BALL, "ball", bounce=0.2, marks="seams"),
    "can": _thing(0.45, "red", _ball, BALL, "ball", bounce=0.2, marks="rim"),
    "wheel": _thing(0.9, "grey", _ball, BALL, "ball", bounce=0.3, marks="rim"),
    "box": _thing(0.75, (182, 140, 92), _box, BOX, "box", aspect=1.2, marks="tape"),
    "block": _thing(0.34, "brown", _box, BOX, "box", aspect=1.3),
    "cube": _thing(0.6, "red", _box, BOX, "box", bounce=0.6),
    "puck": _thing(0.2, "black", _box, BOX, "box", aspect=2.6, friction=0.03, marks="plank"),
    "domino": _thing(0.62, "white", _box, BOX, "box", aspect=0.26, marks="dots"),
    "pin": _thing(0.62, "white", _box, BOX, "box", aspect=0.34, marks="pin"),
    "cart": _thing(0.6, "red", _cart, frozenset({"roll", "stand"}), "cart"),
    "pendulum": _thing(0.44, "golden", _pendulum, frozenset({"swing"}), "pendulum"),
    "wrecking-ball": _thing(0.85, "black", _pendulum, frozenset({"swing"}), "pendulum", mass=12.0),
    "swing": _thing(0.9, "brown", _seat, frozenset({"swing"}), "pendulum"),
    "tree": _thing(2.9, (70, 136, 62), _tree, STILL, "still"),
    "oak": _thing(3.2, (84, 130, 56), _tree, STILL, "still", thick=True),
    "pine": _thing(3.0, (52, 110, 74), _tree, STILL, "still", cone=True),
    "bench": _thing(0.85, WOOD, _bench, STILL, "still"), "fence": _thing(0.9, WOOD, _fence, STILL, "still"),
    "post": _thing(0.9, WOOD, _fence, STILL, "still", half=0.05),
    "wall": _thing(1.2, "red", _wall, STILL, "wall"),
    "ramp": _thing(1.35, WOOD, _ramp, STILL, "ramp"), "screen": _thing(1.5, "grey", _screen, STILL, "front"),
    "rock": _thing(0.7, "grey", _rock, STILL, "still"), "flower": _thing(0.7, "red", _flower, STILL, "still"),
    "tulip": _thing(0.6, "red", _flower, STILL, "still"), "coral": _thing(0.7, "pink", _rock, STILL, "still"),
    "fountain": _thing(1.3, "grey", _fountain, frozenset({"splash", "stand"}), "still"),
    "balloon": _thing(0.75, "red", _balloon, frozenset({"float", "fly"}), "riser"),
    "bubble": _thing(0.4, "white", _bubble, frozenset({"float", "fly"}), "riser"),
    "boat": _thing(1.4, "red", _boat, frozenset({"float", "drift"}), "floater"),
    "toy-boat": _thing(1.1, "white", _boat, frozenset({"float", "drift"}), "floater"),
    "leaf": _thing(0.3, "orange", _flat, frozenset({"fly", "fall"}), "flutter", shape="leaf"),
    "petal": _thing(0.22, "pink", _flat, frozenset({"fly", "fall"}), "flutter", shape="leaf"),
    "kite": _thing(0.9, "red", _flat, frozenset({"fly"}), "kite", shape="kite"),
    "frisbee": _thing(0.5, "yellow", _flat, frozenset({"fly"}), "ball", shape="disc"),
    "stick": _thing(0.6, "brown", _flat, frozenset({"fly", "fall", "lie"}), "ball", shape="stick"),
    "cloud": _thing(1.6, "white", _cloud, frozenset({"drift", "stand"}), "cloud"),
}  # fmt: skip
THINGS["lamp"] = _thing(2.4, "yellow", _lamp, frozenset({"stand", "swing"}), "still")
HANGING_LAMP = _thing(0.6, "white", _pendulum, frozenset({"swing"}), "pendulum", lamp=True)
