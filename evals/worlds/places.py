"""Backgrounds: what lies behind the actors, painted once per scene.

The painted strip repeats every `PERIOD` metres, so that a camera can follow a runner for as long as it
likes. The stage is `VIEW` metres high; what stands on the ground stands near `BASE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from evals.worlds.actors import Actor, Kind, Pose
from evals.worlds.brush import COLOURS, Canvas, Colour, circle, mix, tint
from evals.worlds.figures.things import THINGS

VIEW, BASE, HORIZON, PERIOD, TALL = 4.0, 0.75, 1.45, 14.0, 5.6
TABLE_TOP = 0.95
WATERLINE = 1.15

Rng = np.random.Generator


@dataclass(frozen=True)
class Place:
    """How a place is painted, and what it means for what happens there."""

    style: str
    ground: Colour = (96, 150, 66)
    trees: int = 0
    benches: int = 0
    clouds: int = 3
    path: bool = False
    indoors: bool = False
    wall: Colour = (196, 190, 176)
    base: float = BASE


GRASS: Colour = (104, 158, 70)
PLACES: dict[str, Place] = {
    "park": Place("land", GRASS, trees=5, benches=1, path=True),
    "lawn": Place("land", (112, 172, 74), trees=2),
    "flower bed": Place("land", (112, 92, 62), trees=2),
    "park gate": Place("land", GRASS, trees=3, path=True),
    "meadow": Place("land", (126, 170, 80), trees=1),
    "garden": Place("land", (98, 160, 76), trees=2, clouds=2),
    "field": Place("land", (150, 168, 84)), "hill": Place("land", (110, 160, 78), clouds=4),
    "farm": Place("land", (140, 150, 84), trees=1), "farmyard": Place("land", (176, 150, 108)),
    "paddock": Place("land", (132, 162, 84), trees=1), "path": Place("land", (196, 172, 124), trees=2),
    "playground": Place("land", (208, 184, 136), trees=2), "court": Place("land", (150, 112, 100), trees=2),
    "forest": Place("land", (74, 110, 56), trees=12, clouds=1),
    "mountain": Place("land", (136, 134, 120), clouds=2),
    "savanna": Place("land", (202, 174, 100), clouds=1), "desert": Place("land", (226, 188, 120), clouds=0),
    "beach": Place("land", (230, 208, 160), clouds=2),
    "square": Place("land", (176, 172, 164), trees=1, clouds=2),
    "ice": Place("land", (226, 236, 244), clouds=2), "snow": Place("land", (240, 244, 248), trees=2),
    "yard": Place("land", (164, 158, 148)), "building site": Place("land", (178, 158, 130)),
    "pond": Place("water", (70, 134, 120), trees=3), "lake": Place("water", (66, 120, 160), trees=2),
    "river": Place("water", (84, 132, 140), trees=2), "stream": Place("water", (92, 140, 140), trees=3),
    "sea": Place("water", (44, 104, 150)), "coast": Place("water", (58, 118, 158)),
    "basin": Place("water", (100, 170, 190), clouds=1), "reef": Place("under", (30, 110, 150)),
    "tank": Place("under", (70, 150, 180)), "sky": Place("sky", clouds=5),
    "cave": Place("sky", (70, 70, 90), clouds=0),
    "room": Place("room", (164, 118, 74), indoors=True),
    "hall": Place("room", (150, 136, 120), indoors=True, wall=(214, 208, 196)),
    "gym": Place("room", (206, 160, 98), indoors=True, wall=(188, 200, 206)),
    "corridor": Place("room", (140, 140, 142), indoors=True, wall=(206, 206, 198)),
    "kitchen": Place("room", (190, 186, 180), indoors=True, wall=(222, 214, 190)),
    "laboratory": Place("room", (170, 176, 180), indoors=True, wall=(220, 226, 230)),
    "bowling alley": Place("room", (214, 170, 110), indoors=True, wall=(96, 84, 120)),
    "table": Place("table", (160, 112, 68), indoors=True, base=TABLE_TOP),
    "desk": Place("table", (130, 88, 56), indoors=True, wall=(176, 190, 186), base=TABLE_TOP),
    "studio": Place("room", (176, 176, 176), indoors=True, wall=(206, 206, 206)),
}  # fmt: skip


def under_water(place: Place) -> Place:
    """The same water, seen from below its surface."""
    return Place("under", mix(place.ground, (30, 90, 140), 0.4))


def paint(place: Place, rng: Rng, canvas: Canvas, period: float | None) -> None:
    """Fill a canvas with the place. `period`: the width after which it repeats (a camera that moves)."""
    copies = (-1, 0, 1) if period else (0,)
    span = period or (canvas.right - canvas.left)
    painter: Callable[..., None] = {
        "land": _land, "water": _water, "under": _under, "sky": _sky_only, "room": _room, "table": _table,
    }[place.style]  # fmt: skip
    painter(place, rng, canvas, span, [k * span for k in copies])
    _grain(canvas, rng)


def _gradient(canvas: Canvas, low: float, high: float, bottom: Colour, top: Colour) -> None:
    rows = canvas.image.shape[0]
    y = canvas.top - (np.arange(rows) + 0.5) / canvas.scale
    inside = (y >= low) & (y <= high)
    share = np.clip((y[inside] - low) / (high - low), 0, 1)[:, None]
    colour = np.array(bottom) + (np.array(top) - np.array(bottom)) * share
    canvas.image[inside] = np.rint(np.clip(colour, 0, 255)).astype(np.uint8)[:, None]


def _grain(canvas: Canvas, rng: Rng) -> None:
    """A fine texture, so that nothing is a flat colour."""
    shape = canvas.image.shape[:2]
    fine = rng.normal(0, 2.2, (shape[0] // 2 + 1, shape[1] // 2 + 1)).astype(np.float32)
    coarse = rng.normal(0, 1.6, (shape[0] // 24 + 2, shape[1] // 24 + 2)).astype(np.float32)
    noise = cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_NEAREST)
    noise = noise + cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    canvas.image[:] = np.rint(np.clip(canvas.image + noise[..., None], 0, 255)).astype(np.uint8)


def _xs(rng: Rng, canvas: Canvas, span: float, count: int) -> list[float]:
    """Places for `count` things, spread with some disorder."""
    if not count:
        return []
    step = span / count
    return [float(canvas.left + (i + rng.uniform(0.15, 0.85)) * step) for i in range(count)]


def _still(kind: str, x: float, y: float, size: float, colour: Colour, variant: int, canvas: Canvas) -> None:
    what: Kind = THINGS[kind]
    actor = Actor(kind, kind, what, size, colour, lambda t: Pose(x, y), y, variant)
    what.paint(canvas, actor, Pose(x, y))


def _sky(
    rng: Rng, canvas: Canvas, span: float, shifts: list[float], clouds: int, low: float = HORIZON
) -> None:
    hour = rng.uniform()
    top = mix((92, 156, 222), (120, 130, 190), hour * 0.7)
    bottom = mix((200, 226, 244), (250, 214, 170), hour * 0.8)
    _gradient(canvas, low - 0.1, canvas.top, bottom, top)
    _gradient(canvas, canvas.top - 10, low - 0.1, bottom, bottom)
    for x in _xs(rng, canvas, span, clouds):
        y, size, variant = rng.uniform(2.7, 3.9), rng.uniform(0.6, 1.3), int(rng.integers(1 << 30))
        for shift in shifts:
            _still("cloud", x + shift, y, size, (248, 248, 250), variant, canvas)


def _land(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    _sky(rng, canvas, span, shifts, place.clouds)
    far = mix(place.ground, (150, 176, 200), 0.55)
    for layer in range(2):
        heights = rng.uniform(0.05, 0.55 - 0.2 * layer, 9)
        marks = np.linspace(0, span, 10)
        dense = np.linspace(0, span, 80)
        wave = np.interp(dense, marks, HORIZON + np.append(heights, heights[0]))
        wave = np.convolve(np.concatenate([wave[-6:], wave, wave[:5]]), np.ones(12) / 12, "valid")
        for shift in shifts:
            line = np.stack([dense + canvas.left + shift, wave], 1)
            hill = np.concatenate([line, [[line[-1, 0], 0], [line[0, 0], 0]]])
            canvas.polygon(hill, mix(far, place.ground, 0.3 * layer))
    _gradient(canvas, canvas.top - 10, HORIZON, tint(place.ground, 0.82), tint(place.ground, 1.06))
    _strokes(place, rng, canvas, span, shifts)
    if place.path:
        width, y = rng.uniform(0.1, 0.16), rng.uniform(1.1, 1.22)
        for a, b in ((canvas.left - 1, canvas.right + 1),):
            canvas.veil(
                np.array([(a, y - width), (b, y - width), (b, y + width), (a, y + width)]),
                (206, 188, 150),
                0.9,
            )
    for x in sorted(_xs(rng, canvas, span, place.trees), key=lambda _: rng.uniform()):
        y, size, variant = rng.uniform(1.25, 1.45), rng.uniform(1.3, 2.3), int(rng.integers(1 << 30))
        colour = mix(THINGS["tree"].colour, place.ground, rng.uniform(0, 0.35))
        kind = "pine" if rng.uniform() < 0.3 else "tree"
        for shift in shifts:
            canvas.shadow(x + shift, y, size * 0.24, 0.25)
            _still(kind, x + shift, y, size, mix(colour, (170, 190, 200), 0.12), variant, canvas)
    for x in _xs(rng, canvas, span, place.benches):
        for shift in shifts:
            _still("bench", x + shift, 1.2, 0.4, THINGS["bench"].colour, 0, canvas)


def _strokes(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    """Blades, pebbles or ripples of sand that give the ground its texture and depth."""
    for _ in range(int(38 * span)):
        y = HORIZON * rng.uniform(0, 0.97) ** 0.8
        x, near = canvas.left + rng.uniform(0, span), 1 - y / HORIZON
        colour, long = tint(place.ground, rng.uniform(0.8, 1.16)), 0.03 + 0.09 * near
        lean = rng.uniform(-0.5, 0.5)
        for shift in shifts:
            canvas.line([(x + shift, y), (x + shift + lean * long, y + long)], 0.008 + 0.014 * near, colour)


def _water(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    bank = Place("land", GRASS if place.trees else place.ground, place.trees, clouds=place.clouds)
    _land(bank, rng, canvas, span, shifts)
    _gradient(canvas, canvas.top - 10, HORIZON - 0.06, tint(place.ground, 0.7), tint(place.ground, 1.25))
    for _ in range(int(16 * span)):
        y = (HORIZON - 0.1) * rng.uniform()
        x, near = canvas.left + rng.uniform(0, span), 1 - y / HORIZON
        half = 0.1 + 0.35 * near * rng.uniform()
        for shift in shifts:
            canvas.veil(
                circle(half, 0.012 + 0.02 * near, 12) + np.array([x + shift, y]), (225, 240, 248), 0.35
            )


def _under(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    _gradient(
        canvas,
        canvas.top - 10,
        canvas.top,
        tint(place.ground, 0.45),
        mix(place.ground, (190, 235, 245), 0.45),
    )
    for x in _xs(rng, canvas, span, 4):
        wide = rng.uniform(0.2, 0.5)
        for shift in shifts:
            beam = np.array([(x, 5.6), (x + wide, 5.6), (x + wide * 2.2 - 1.6, 0), (x - wide - 1.6, 0)]) + [
                shift,
                0,
            ]
            canvas.veil(beam, (210, 240, 250), 0.1)
    sand = mix((196, 180, 136), place.ground, 0.45)
    dunes = rng.uniform(0.25, 0.5, 12)
    for shift in shifts:
        line = np.stack([np.linspace(0, span, 13) + canvas.left + shift, np.append(dunes, dunes[0])], 1)
        canvas.polygon(np.concatenate([line, [[line[-1, 0], -9], [line[0, 0], -9]]]), sand)
    for x in _xs(rng, canvas, span, 7):
        height, lean = rng.uniform(0.5, 1.3), rng.uniform(-0.3, 0.3)
        for shift in shifts:
            weed = [
                (x + shift, 0.3),
                (x + shift + lean, 0.3 + height / 2),
                (x + shift + lean * 0.4, 0.3 + height),
            ]
            canvas.line(weed, 0.07, mix((40, 110, 60), place.ground, 0.3))


def _sky_only(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    _sky(rng, canvas, span, shifts, place.clouds, low=0.3)
    for x in _xs(rng, canvas, span, place.clouds):
        y, size, variant = rng.uniform(0.6, 2.6), rng.uniform(0.6, 1.5), int(rng.integers(1 << 30))
        for shift in shifts:
            _still("cloud", x + shift, y, size, (244, 246, 250), variant, canvas)
    if place.clouds == 0:
        canvas.veil(np.array([(-999, -9), (999, -9), (999, 99), (-999, 99)]), (30, 30, 60), 0.55)


def _room(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    wall = mix(place.wall, COLOURS[str(rng.choice(["blue", "yellow", "green", "pink", "white"]))], 0.12)
    _gradient(canvas, HORIZON - 0.2, canvas.top, tint(wall, 1.08), tint(wall, 0.9))
    _gradient(canvas, canvas.top - 10, HORIZON - 0.2, tint(place.ground, 0.8), tint(place.ground, 1.08))
    wide = 9 * (canvas.right - canvas.left)
    canvas.line([(-wide, HORIZON - 0.18), (wide, HORIZON - 0.18)], 0.1, tint(wall, 0.72))
    for y in (0.18, 0.45, 0.72, 0.95, 1.12):
        canvas.line([(-wide, y), (wide, y)], 0.012, tint(place.ground, 0.72))
    for x in _xs(rng, canvas, span, max(1, round(span / 4))):
        y, w, h = rng.uniform(2.3, 2.7), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.7)
        window, colour = rng.uniform() < 0.5, COLOURS[str(rng.choice(["blue", "green", "orange", "purple"]))]
        for shift in shifts:
            frame = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) + [x + shift, y]
            canvas.polygon(frame, tint(wall, 0.6))
            inner = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) * 0.88 + [x + shift, y]
            canvas.polygon(inner, (190, 220, 240) if window else mix(wall, colour, 0.35))
            if window:
                canvas.line([(x + shift, y - h), (x + shift, y + h)], 0.06, tint(wall, 0.6))


def _table(place: Place, rng: Rng, canvas: Canvas, span: float, shifts: list[float]) -> None:
    _room(Place("room", (120, 104, 92), wall=place.wall), rng, canvas, span, shifts)
    far = 9 * (canvas.right - canvas.left)
    top = np.array(
        [(-far, TABLE_TOP - 0.3), (far, TABLE_TOP - 0.3), (far, TABLE_TOP + 0.22), (-far, TABLE_TOP + 0.22)]
    )
    canvas.polygon(top, place.ground)
    for _ in range(int(4 * span)):
        x, y, long = (
            canvas.left + rng.uniform(0, span),
            TABLE_TOP + rng.uniform(-0.28, 0.2),
            rng.uniform(0.4, 1.4),
        )
        for shift in shifts:
            canvas.line(
                [(x + shift, y), (x + shift + long, y + 0.01)],
                0.012,
                tint(place.ground, rng.uniform(0.84, 1.1)),
            )
    canvas.polygon(np.array([(-far, TABLE_TOP - 0.42), (far, TABLE_TOP - 0.42), (far, TABLE_TOP - 0.3),
        (-far, TABLE_TOP - 0.3)]),
                   tint(place.ground, 0.62))  # fmt: skip
