"""A track as motion in time: fits with errors, and phases of uniform acceleration.

Places are in pixels, x to the right and y **down**, times in seconds. Only frames count in which the thing is
seen by itself and whole."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evals.tracking import Scene, Track

Array = NDArray[np.float64]

LEAST_NOISE, MOST_NOISE = 0.25, 1.0  # pixels that a centroid is off by
SHORTEST = 3  # observations of a phase
MOST_ROWS = 240


@dataclass(frozen=True)
class Fit:
    """A polynomial of time through places: `c` (d + 1, 2) in powers of t − `middle`, `error` their standard
    errors (the larger of what residuals say and of `LEAST_NOISE`)."""

    middle: float
    c: Array
    error: Array
    residual: float

    def at(self, t: float) -> Array:
        """Place (2,) at a time."""
        return np.asarray(np.polynomial.polynomial.polyval(t - self.middle, self.c), np.float64)

    def velocity(self, t: float) -> Array:
        """Velocity (2,) in pixels per second."""
        slope = np.polynomial.polynomial.polyder(self.c) if len(self.c) > 1 else np.zeros((1, 2))
        return np.asarray(np.polynomial.polynomial.polyval(t - self.middle, slope), np.float64)

    @property
    def acceleration(self) -> Array:
        """Acceleration (2,) in pixels per second², in the middle."""
        return np.asarray(2 * self.c[2], np.float64) if len(self.c) > 2 else np.zeros(2)

    @property
    def acceleration_error(self) -> float:
        """Its standard error, the larger of both axes."""
        return float(2 * self.error[2].max()) if len(self.c) > 2 else 0.0


def fitted(t: Array, xy: Array, degree: int) -> Fit:
    """Least squares; `t` (m,), `xy` (m, 2), m > degree."""
    middle = float(t.mean())
    design = np.vander(t - middle, degree + 1, increasing=True)
    c, *_ = np.linalg.lstsq(design, xy, rcond=None)
    off = design @ c - xy
    free = len(t) - degree - 1
    spread = np.sqrt((off**2).sum(0) / free) if free else np.full(2, MOST_NOISE)
    spread = np.maximum(spread, LEAST_NOISE)
    inverse = np.sqrt(np.maximum(np.diag(np.linalg.pinv(design.T @ design)), 0))
    error = np.asarray(inverse[:, None] * spread[None], np.float64)
    return Fit(middle, np.asarray(c, np.float64), error, float(np.sqrt((off**2).mean())))


@dataclass(frozen=True)
class Phase:
    """A stretch of uniform acceleration: rows `first` to `last` of a path, and the fit."""

    first: int
    last: int
    start: float
    end: float
    count: int
    fit: Fit

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def travel(self) -> Array:
        """From its first to its last place (2,)."""
        return self.fit.at(self.end) - self.fit.at(self.start)

    @property
    def reach(self) -> float:
        """Pixels between the farthest places of it, along either axis."""
        inner = np.stack([self.fit.at(t) for t in np.linspace(self.start, self.end, 9)])
        return float(np.ptp(inner, axis=0).max())

    @property
    def speed(self) -> float:
        """The mean speed: way over time."""
        inner = np.stack([self.fit.at(t) for t in np.linspace(self.start, self.end, 9)])
        return float(np.sqrt((np.diff(inner, axis=0) ** 2).sum(1)).sum() / max(self.duration, 1e-9))


@dataclass(frozen=True)
class Path:
    """A track's clear observations in time. `rows` are frames that were looked at."""

    track: Track
    t: Array
    xy: Array
    rows: NDArray[np.int64]

    @property
    def size(self) -> float:
        return self.track.size

    @cached_property
    def noise(self) -> float:
        """Pixels that places are off by, from third differences."""
        if len(self.t) < 6:
            return LEAST_NOISE
        third = np.diff(self.xy, n=3, axis=0)
        found = float(np.median(np.abs(third))) / 0.6745 / np.sqrt(20)
        return float(np.clip(found, LEAST_NOISE, MOST_NOISE))

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The best cut into stretches of uniform acceleration (least squares with a price per stretch)."""
        return tuple(_phases(self))

    def moving(self, phase: Phase) -> bool:
        """Whether it goes anywhere in a phase."""
        return phase.reach > max(3.0, 0.25 * self.size)

    @property
    def travel(self) -> float:
        """Pixels between the farthest places along either axis."""
        return float(np.ptp(self.xy, axis=0).max()) if len(self.xy) else 0.0


def path_of(track: Track, scene: Scene) -> Path:
    """A track in time; the frames after a place where it jumped are another story and are left out."""
    clear = track.clear.copy()
    jumps = np.flatnonzero(track.jumped)
    if len(jumps):
        parts = np.split(np.arange(len(clear)), jumps)
        longest = max(parts, key=lambda p: int(clear[p].sum()))
        clear[np.setdiff1d(np.arange(len(clear)), longest)] = False
    rows = track.frames[clear]
    return Path(track, scene.times[rows], track.xy[clear], rows)


def _phases(path: Path) -> list[Phase]:
    every = max(1, -(-len(path.t) // MOST_ROWS))
    t, xy = path.t[::every], path.xy[::every]
    m = len(t)
    if m < SHORTEST:
        return []
    cost = _costs(t, xy) / path.noise**2
    price = 6 * np.log(2 * m)
    best, cut = np.full(m + 1, np.inf), np.zeros(m + 1, np.int64)
    best[0] = 0.0
    for end in range(SHORTEST, m + 1):
        tried = best[: end - SHORTEST + 1] + cost[: end - SHORTEST + 1, end - 1] + price
        cut[end] = int(np.argmin(tried))
        best[end] = tried[cut[end]]
    bounds, end = [m], m
    while end > 0:
        end = int(cut[end])
        bounds.append(end)
    bounds = bounds[::-1]
    found = []
    for a, b in itertools.pairwise(bounds):
        first, last = a * every, min(len(path.t) - 1, (b - 1) * every)
        part = slice(first, last + 1)
        fit = fitted(path.t[part], path.xy[part], 2 if last - first >= 2 else 1)
        found.append(Phase(first, last, float(path.t[first]), float(path.t[last]), last - first + 1, fit))
    return found


def _costs(t: Array, xy: Array) -> Array:
    """Sum of squares about the best parabola of every stretch, (m, m): rows i to j."""
    m = len(t)
    s = (t - t.mean()) / max(float(np.ptp(t)), 1e-9)
    place = xy - xy.mean(0)
    powers = np.stack([s**k for k in range(5)])
    mixed = np.stack([s[None] ** np.arange(3)[:, None] * place[:, axis] for axis in (0, 1)])
    sums = np.concatenate([np.zeros((5, 1)), np.cumsum(powers, 1)], 1)
    mixes = np.concatenate([np.zeros((2, 3, 1)), np.cumsum(mixed, 2)], 2)
    squares = np.concatenate([[0.0], np.cumsum((place**2).sum(1))])
    i, j = np.triu_indices(m, SHORTEST - 1)
    total = sums[:, j + 1] - sums[:, i]
    # About the middle of each stretch the normal equations are well conditioned.
    count, centre = total[0], total[1] / total[0]
    moments = _about(total, centre)
    matrix = np.stack([np.stack([moments[a + b] for b in range(3)], -1) for a in range(3)], -2)
    cost = squares[j + 1] - squares[i]
    for axis in (0, 1):
        raw = mixes[axis][:, j + 1] - mixes[axis][:, i]
        right = np.stack(
            [raw[0], raw[1] - centre * raw[0], raw[2] - 2 * centre * raw[1] + centre**2 * raw[0]]
        )
        scale = np.maximum(moments[2] / count, 1e-30) ** 0.5
        scaling = np.stack([np.ones_like(scale), scale, scale**2])
        scaled = matrix / (scaling.T[:, :, None] * scaling.T[:, None, :])
        side = (right / scaling).T
        solved = np.linalg.solve(scaled + 1e-12 * np.eye(3), side[..., None])[..., 0]
        cost = cost - (solved * side).sum(1)
    table = np.full((m, m), np.inf)
    table[i, j] = np.maximum(cost, 0.0)
    return table


def _about(total: Array, centre: Array) -> Array:
    """Moments up to the fourth about another origin."""
    s0, s1, s2, s3, s4 = total
    c = centre
    return np.stack([
        s0, s1 - c * s0, s2 - 2 * c * s1 + c**2 * s0, s3 - 3 * c * s2 + 3 * c**2 * s1 - c**3 * s0,
        s4 - 4 * c * s3 + 6 * c**2 * s2 - 4 * c**3 * s1 + c**4 * s0,
    ])  # fmt: skip
