"""Pendulums: a steady period, an amplitude that never grows, and T₁²/T₂² = L₁/L₂ for two of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evals.metrics.physics.checks import Check, Tested, Untestable, grade
from evals.metrics.physics.paths import Array, Path, path_of
from evals.tracking import Scene

TURNS = 2  # turning points that a period is measured by: half a period


@dataclass(frozen=True)
class Swing:
    """`turns` (k,) seconds and `places` (k,) pixels along the swing of the turning points that are seen,
    `period` in seconds, `length` of the rod in pixels (None where the arc is too flat to tell), `angle` the
    amplitude in radians, `sag` how much lower the middle hangs than the ends, in pixels."""

    path: Path
    turns: Array
    places: Array
    period: float
    length: float | None
    angle: float
    sag: float


def swing_of(path: Path) -> Swing | None:
    """The swing that a path is; None where it is none, or less than half a period is seen."""
    if len(path.t) < 8:
        return None
    middle = path.xy.mean(0)
    _, spread, axes = np.linalg.svd(path.xy - middle, full_matrices=False)
    if spread[1] > 0.5 * spread[0] or abs(axes[0][0]) < 0.8:
        return None  # no swing from side to side
    along = (path.xy - middle) @ axes[0]
    turns, places = _turning_points(path.t, along, max(2.0, 4 * path.noise))
    seen, ends = turns, _with_ends(path.t, along, turns, places)
    if len(turns) < TURNS:
        turns, places = ends
    if len(turns) < TURNS:
        return None
    period = 2 * float(np.median(np.diff(turns)))
    pivot = _pivot(path.xy)
    amplitude = float(np.abs(np.diff(places)).max()) / 2
    length, angle = None, 0.0
    if pivot is not None:
        length = float(np.median(np.linalg.norm(path.xy - pivot, axis=1)))
        angle = float(np.arcsin(min(1.0, amplitude / length)))
    ends = np.abs(along - np.median(along)) > 0.7 * amplitude
    centre = np.abs(along - (places.max() + places.min()) / 2) < 0.3 * amplitude
    sag = float(path.xy[centre, 1].mean() - path.xy[ends, 1].mean()) if centre.any() and ends.any() else 0.0
    kept = len(seen) >= TURNS
    return Swing(path, turns if kept else seen, places if kept else places[:0], period, length, angle, sag)


def _turning_points(t: Array, along: Array, least: float) -> tuple[Array, Array]:
    """Times and places at which it turns round, from parabolas through the farthest samples."""
    turns: list[tuple[float, float]] = []
    way, extreme = 0, 0
    for i in range(1, len(t)):
        if way == 0:
            if abs(along[i] - along[extreme]) > least:
                way, extreme = (1 if along[i] > along[extreme] else -1), i
        elif (along[i] - along[extreme]) * way > 0:
            extreme = i
        elif (along[extreme] - along[i]) * way > least:
            turns.append(_vertex(t, along, extreme))
            way, extreme = -way, i
    return np.array([a for a, _ in turns]), np.array([b for _, b in turns])


def _with_ends(t: Array, along: Array, turns: Array, places: Array) -> tuple[Array, Array]:
    """The turning points with the first and the last place of the clip where it hardly moves there: it is let
    go, or about to turn. They tell half a period where no more is seen."""
    found = list(zip(turns, places, strict=True))
    speed = np.abs(np.gradient(along, t))
    slow, gap = 0.12 * float(speed.max()), 3 * float(t[1] - t[0])
    if speed[:2].mean() < slow and (not found or found[0][0] - t[0] > gap):
        found.insert(0, (float(t[0]), float(along[0])))
    if speed[-2:].mean() < slow and (not found or t[-1] - found[-1][0] > gap):
        found.append((float(t[-1]), float(along[-1])))
    return np.array([a for a, _ in found]), np.array([b for _, b in found])


def _vertex(t: Array, along: Array, i: int) -> tuple[float, float]:
    a, b = max(0, i - 2), min(len(t), i + 3)
    c = np.polynomial.polynomial.polyfit(t[a:b] - t[i], along[a:b], 2)
    if abs(c[2]) < 1e-9:
        return float(t[i]), float(along[i])
    at = float(np.clip(-c[1] / (2 * c[2]), t[a] - t[i], t[b - 1] - t[i]))
    return float(t[i]) + at, float(np.polynomial.polynomial.polyval(at, c))


def _pivot(xy: Array) -> Array | None:
    """The centre of the circle through places (Kåsa 1976); None where they lie on a line."""
    origin = xy.mean(0)
    p = xy - origin
    design = np.column_stack([2 * p, np.ones(len(p))])
    c, *_ = np.linalg.lstsq(design, (p**2).sum(1), rcond=None)
    radius = float(np.sqrt(max(c[2] + c[0] ** 2 + c[1] ** 2, 0.0)))
    if not np.isfinite(radius) or radius > 6 * float(np.ptp(p[:, 0])) or c[1] >= 0:
        return None
    return np.asarray(origin + c[:2], np.float64)


def pendulum(scene: Scene) -> Tested:
    """A steady period, an amplitude that does not grow, the lowest place in the middle."""
    swings = [s for track in scene.confident if (s := swing_of(path_of(track, scene))) is not None]
    if not swings:
        return Untestable("no swing of at least half a period is seen by a track that can be believed")
    checks: list[Check] = []
    for swing in swings:
        checks += _of_one(swing)
    checks += _of_two(swings)
    return tuple(checks) or Untestable("too little of a swing is seen to tell how it goes on")


def _of_one(swing: Swing) -> list[Check]:
    first, last = int(swing.path.rows[0]), int(swing.path.rows[-1])
    wide = np.abs(np.diff(swing.places))
    if len(wide):  # once it has died out, turning points are noise
        over = np.flatnonzero(wide[wide.argmax() :] < 0.3 * wide.max())
        wide = wide[: int(wide.argmax() + over[0])] if len(over) else wide
    halves = np.diff(swing.turns)[: len(wide)]
    step = float(np.median(np.diff(swing.path.t)))
    checks = []
    if len(halves) >= 2:
        apart = max(0.0, float(halves.max() - halves.min()) - step) / float(halves.mean())
        said = f"its half periods differ by {float(np.ptp(halves) / halves.mean()):.0%}"
        checks.append(Check("steady_period", grade(apart, 0.15, 0.5), said, first, last))
        growth = float((wide[1:] / np.maximum.accumulate(wide)[:-1] - 1).max())
        noise = 4 * swing.path.noise / float(wide.max())
        said = f"its swing changes by {growth:+.0%} from one half to the next"
        checks.append(Check("never_wider", grade(growth - noise, 0.06, 0.25), said, first, last))
    width = float(np.ptp(swing.path.xy[:, 0]))
    if width > 20 and abs(swing.sag) > 3:
        said = f"its middle hangs {'lower' if swing.sag > 0 else 'higher'} than its ends"
        checks.append(Check("hangs", float(swing.sag > 0), said, first, last))
    return checks


def small_angle(swing: Swing) -> float:
    """The period that the same pendulum would have at a small amplitude."""
    return swing.period / (1 + swing.angle**2 / 16 + 11 * swing.angle**4 / 3072)


def _of_two(swings: list[Swing]) -> list[Check]:
    checks = []
    for one, other in combinations([s for s in swings if s.length is not None], 2):
        assert one.length is not None and other.length is not None
        squares = (small_angle(one) / small_angle(other)) ** 2
        lengths = one.length / other.length
        said = f"T₁²/T₂² is {squares:.2f} where L₁/L₂ is {lengths:.2f}"
        first = int(max(one.path.rows[0], other.path.rows[0]))
        last = int(min(one.path.rows[-1], other.path.rows[-1]))
        off = abs(float(np.log(squares / lengths)))
        checks.append(Check("period_by_length", grade(off, 0.25, 0.6), said, first, last))
    return checks
