"""Weights that hang on springs."""

from __future__ import annotations

import numpy as np

from evals.worlds.actors import Actor, Kind, Pose
from evals.worlds.brush import COLOURS, Canvas, tint

COILS = 9


def _weight(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    """An iron weight with the spring that carries it; `act` is how long the spring is."""
    s, x, y = actor.size, pose.x, pose.y
    top, low = y + pose.act, y + 0.55 * s
    turns = np.linspace(0, 1, 4 * COILS + 1)
    coil = np.stack([x + 0.16 * np.sin(turns * COILS * 2 * np.pi), top - 0.1 + (low - top + 0.1) * turns], 1)
    canvas.line([(x, top), (x, top - 0.1)], 0.03, (96, 98, 104))
    canvas.line(coil, 0.03 * actor.is_.look.get("wire", 1.0), (96, 98, 104))
    canvas.disc((x, top), 0.06, (60, 60, 64))
    canvas.line([(x, low), (x, y + 0.3 * s)], 0.09 * s, tint(actor.colour, 0.6))
    body = np.array([(-0.42, -0.5), (0.42, -0.5), (0.5, -0.4), (0.4, 0.36), (-0.4, 0.36), (-0.5, -0.4)])
    canvas.polygon(body * s + [x, y], tint(actor.colour, 0.65))
    canvas.polygon(body * [0.88, 0.86] * s + [x, y - 0.01 * s], actor.colour)
    band = np.array([(-0.4, -0.05), (0.4, -0.05), (0.39, 0.08), (-0.39, 0.08)])
    canvas.polygon(band * s + [x, y], tint(actor.colour, 1.3))


def _unseen(canvas: Canvas, actor: Actor, pose: Pose) -> None:
    """A spring is drawn with the weight on it."""


SPRINGS: dict[str, Kind] = {
    "weight": Kind("weight", 0.5, COLOURS["grey"], _weight, frozenset({"bounce"})),
    "spring": Kind("spring", 1.2, COLOURS["silver"], _unseen, frozenset({"stretch"})),
}
