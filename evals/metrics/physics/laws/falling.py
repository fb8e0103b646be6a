"""Free fall, throws and bounces: what holds for everything that flies, without a metre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from evals.errors import Reason
from evals.metrics.physics.checks import Check, Tested, Untestable, grade
from evals.metrics.physics.paths import Path, Phase, fitted, path_of
from evals.tracking import Scene

SURE = 4.0  # standard errors from which on an acceleration counts as one
SAGITTA = 1.2  # pixels that a flight curves by at least
OBLIQUE = 0.3  # vertical over horizontal travel of a straight line that cannot be a roll on the ground


@dataclass(frozen=True)
class Flight:
    """A phase with a clear vertical acceleration."""

    path: Path
    phase: Phase

    @property
    def down(self) -> float:
        """Vertical acceleration, pixels per second², downwards."""
        return float(self.phase.fit.acceleration[1])

    @property
    def error(self) -> float:
        return self.phase.fit.acceleration_error

    @property
    def frames(self) -> tuple[int, int]:
        return int(self.path.rows[self.phase.first]), int(self.path.rows[self.phase.last])


def flights(path: Path) -> list[Flight]:
    """The phases in which a path curves, up or down, by more than its error."""
    found = []
    for phase in path.phases:
        bend = abs(phase.fit.acceleration[1]) * phase.duration**2 / 8
        sure = abs(phase.fit.acceleration[1]) > SURE * phase.fit.acceleration_error
        if phase.count >= 4 and sure and bend > SAGITTA and path.moving(phase):
            found.append(Flight(path, phase))
    return found


def gravity(scene: Scene) -> Tested:
    """Free fall: released things move down first, all with one constant downward acceleration; two bodies
    take times whose squares are as their heights."""
    return _tested(scene, released=True, bounces=False)


def projectile(scene: Scene) -> Tested:
    """A throw: one constant downward acceleration, steady speed across."""
    return _tested(scene, released=False, bounces=False)


def restitution(scene: Scene) -> Tested:
    """Bounces: as free flight in between, never higher than before, by a steady ratio."""
    return _tested(scene, released=False, bounces=True)


def _tested(scene: Scene, released: bool, bounces: bool) -> Tested:
    paths = [path_of(track, scene) for track in scene.confident]
    paths = [path for path in paths if len(path.t) >= 5]
    if not paths:
        return Untestable("nothing is seen to move by a track that can be believed")
    flown = {i: _without_pushes(flights(path)) for i, path in enumerate(paths)}
    checks: list[Check] = []
    for i, path in enumerate(paths):
        checks += _straight(path) if not flown[i] and not bounces else []
        checks += [_downwards(flight) for flight in flown[i]]
        checks += [
            c for flight in flown[i] if flight.down > 0 for c in (_vertical(flight), *_constant(flight))
        ]
        checks += _impacts(path, flown[i])
        if released:
            checks += _from_rest(path)
        if bounces:
            checks += _sinks_through(path, scene)
    falling = [f for found in flown.values() for f in found if f.down > 0]
    checks += _equal(falling)
    checks += _two_bodies(paths)
    if not checks:
        return Untestable("nothing is seen to fly long enough", Reason.NO_TRACK)
    return tuple(checks)


def _without_pushes(found: list[Flight]) -> list[Flight]:
    """Without upward accelerations beside a fall that takes as long: a hand throws, or catches."""
    falls = max((f.phase.duration for f in found if f.down > 0), default=0.0)
    return [f for f in found if f.down > 0 or f.phase.duration > 1.25 * falls]


def _downwards(flight: Flight) -> Check:
    way = "down" if flight.down > 0 else "up"
    return Check("down", float(flight.down > 0), f"the acceleration in flight points {way}", *flight.frames)


def _vertical(flight: Flight) -> Check:
    """Nothing pushes sideways in flight."""
    side = abs(float(flight.phase.fit.acceleration[0]))
    share = max(0.0, side - 2 * flight.error) / flight.down
    said = f"the speed across changes by {side / flight.down:.0%} of what the fall changes"
    return Check("steady_across", grade(share, 0.3, 0.9), said, *flight.frames)


def _constant(flight: Flight) -> list[Check]:
    """The acceleration at the start of a flight is that at its end."""
    phase, path = flight.phase, flight.path
    if phase.count < 8:
        return []
    part = slice(phase.first, phase.last + 1)
    cubic = fitted(path.t[part], path.xy[part], 3)
    change, error = 6 * cubic.c[3, 1] * phase.duration, 6 * cubic.error[3, 1] * phase.duration
    share = max(0.0, abs(float(change)) - 2 * float(error)) / flight.down
    said = f"the acceleration changes by {abs(change) / flight.down:.0%} in one flight"
    return [Check("constant", grade(share, 0.6, 1.6), said, *flight.frames)]


def _straight(path: Path) -> list[Check]:
    """A thing that moves up or down through the air without gaining or losing speed."""
    found = []
    for phase in path.phases:
        across, along = np.abs(phase.travel)
        frames = int(path.rows[phase.first]), int(path.rows[phase.last])
        steep = along > OBLIQUE * across and along > max(8.0, 0.8 * path.size)
        a, error = abs(phase.fit.acceleration[1]), phase.fit.acceleration_error
        # What gravity would have done to its speed in this time is at least a quarter of it.
        seen = (a + 2 * error) * phase.duration < 0.25 * phase.speed
        if phase.count >= 6 and steep and seen and path.moving(phase):
            found.append(Check("down", 0.0, "it moves through the air at a steady speed", *frames))
    return found


def _equal(falling: Sequence[Flight]) -> list[Check]:
    """All flights have one acceleration."""
    if len(falling) < 2:
        return []
    sure = _one_a_fall([f for f in falling if f.error < 0.2 * f.down])
    if len(sure) < 2:
        return []
    low, high = min(sure, key=lambda f: f.down), max(sure, key=lambda f: f.down)
    mean = float(np.mean([f.down for f in sure]))
    apart = max(0.0, high.down - low.down - 2 * float(np.hypot(high.error, low.error))) / mean
    said = f"one flight accelerates {high.down / low.down:.2f} times as fast as another"
    return [Check("equal", grade(apart, 0.25, 0.75), said, *low.frames)]


def _one_a_fall(found: Sequence[Flight]) -> list[Flight]:
    """The longest flight of every uninterrupted fall: drag changes the acceleration within one."""
    kept: list[Flight] = []
    for flight in found:
        last = kept[-1] if kept and kept[-1].path is flight.path else None
        if last is not None:
            before = last.phase.fit.velocity(last.phase.end)
            after = flight.phase.fit.velocity(flight.phase.start)
            goes_on = flight.phase.first == last.phase.last + 1 and float(
                np.linalg.norm(after - before)
            ) < 0.35 * max(last.phase.speed, flight.phase.speed)
            if goes_on:
                kept[-1] = max(last, flight, key=lambda f: f.phase.duration)
                continue
        kept.append(flight)
    return kept


@dataclass(frozen=True)
class Drop:
    """A fall from rest to where it ends: seconds and pixels, and the frames."""

    time: float
    height: float
    start: float
    first: int
    last: int


def drops(path: Path) -> Drop | None:
    """The first fall from rest that is seen from its start to where it is stopped."""
    for k, phase in enumerate(path.phases):
        a = float(phase.fit.acceleration[1])
        flight = a > SURE * phase.fit.acceleration_error and phase.count >= 4 and path.moving(phase)
        if not flight or phase.travel[1] <= 0:
            continue
        begins = phase.fit.middle - float(phase.fit.c[1, 1]) / a  # where the parabola is highest
        gap = float(path.t[1] - path.t[0])
        rested = k == 0 or path.phases[k - 1].speed * gap < max(0.6, 0.1 * phase.speed * gap)
        # The first pixels of a slow fall pass for rest, or rest for them.
        above = abs(float(phase.fit.at(begins)[1] - phase.fit.at(phase.start)[1]))
        near = above < max(2.5, 0.12 * path.size, 0.08 * float(phase.travel[1]))
        if not near or not rested or k + 1 == len(path.phases):
            continue  # it was thrown, or the end of its fall is not seen
        lands = _meeting(phase, path.phases[k + 1])
        if lands is None:
            continue
        height = float(phase.fit.at(lands)[1] - phase.fit.at(begins)[1])
        if height > max(6.0, 0.4 * path.size):
            frames = int(path.rows[phase.first]), int(path.rows[phase.last])
            return Drop(lands - begins, height, begins, *frames)
    return None


def _meeting(a: Phase, b: Phase) -> float | None:
    """When one phase passes into the next: where their heights agree, between the last place of one and the
    first of the other."""
    gap = b.start - a.end
    tried = np.linspace(a.end - 0.3 * gap, b.start + 0.3 * gap, 41)
    apart = [abs(float(a.fit.at(t)[1] - b.fit.at(t)[1])) for t in tried]
    best = int(np.argmin(apart))
    return float(tried[best]) if apart[best] < 4 else None


def _two_bodies(paths: Sequence[Path]) -> list[Check]:
    """t₁²/t₂² = h₁/h₂ for bodies dropped from rest, whatever the scale and the playback rate."""
    found = [drop for path in paths if (drop := drops(path)) is not None]
    checks = []
    for one, other in combinations(found, 2):
        ratio = (one.time / other.time) ** 2 / (one.height / other.height)
        said = f"t₁²/t₂² is {(one.time / other.time) ** 2:.2f} where h₁/h₂ is {one.height / other.height:.2f}"
        first, last = min(one.first, other.first), max(one.last, other.last)
        checks.append(Check("two_bodies", grade(abs(float(np.log(ratio))), 0.22, 0.55), said, first, last))
    return checks


def _from_rest(path: Path) -> list[Check]:
    """What is let go moves down first: it does not leap up from rest."""
    first = path.phases[0] if path.phases else None
    if first is not None and first.reach < max(1.5, 0.1 * path.size) and path.rows[0] <= 1:
        rise = float(path.xy[:3, 1].max() - path.xy[:, 1].min()) / path.size
        top = int(path.rows[int(path.xy[:, 1].argmin())])
        if rise > 0.6:
            said = f"it rises by {rise:.1f} of its size above where it is let go"
            return [Check("released", grade(rise, 0.6, 1.5), said, int(path.rows[0]), top)]
    for before, phase in zip(path.phases, path.phases[1:], strict=False):
        still = before.reach < max(1.5, 0.1 * path.size) and before.count >= 4
        if not still or not path.moving(phase) or phase.count < 4:
            continue
        rises = -float(phase.fit.velocity(phase.start)[1])
        starts = rises * phase.duration > max(8.0, 0.5 * path.size)
        if starts and rises > 0.7 * phase.speed:
            frames = int(path.rows[phase.first]), int(path.rows[phase.last])
            return [Check("released", 0.0, "it leaps up from rest", *frames)]
    return []


def _impacts(path: Path, found: Sequence[Flight]) -> list[Check]:
    """Over every bounce, the speed up over the speed down before it: never above 1, and steady."""
    ratios = []
    for a, b in zip(path.phases, path.phases[1:], strict=False):
        both = [f.phase for f in found if f.down > 0]
        if a not in both and b not in both:
            continue
        lands = _meeting(a, b)
        if lands is None:
            continue
        fell, rose = float(a.fit.velocity(lands)[1]), -float(b.fit.velocity(lands)[1])
        whole = b.count >= 4 and a.count >= 4
        if fell * a.duration > 8 and rose > 0.2 * fell and whole:
            error = _speed_error(a, lands) / fell + _speed_error(b, lands) / fell
            ratios.append((rose / fell, error, int(path.rows[a.last]), int(path.rows[b.last])))
    checks = []
    for ratio, error, first, last in ratios:
        said = f"it bounces to {ratio**2:.0%} of the height before"
        over = max(0.0, ratio - 1 - 2 * error)
        checks.append(Check("never_higher", grade(over, 0.04, 0.2), said, first, last))
    if len(ratios) > 1:
        for (one, e, *_), (other, g, first, last) in pairwise(ratios):
            apart = max(0.0, abs(one - other) - 2 * float(np.hypot(e, g)))
            said = f"one bounce keeps {one:.0%} of the speed, the next {other:.0%}"
            checks.append(Check("steady_ratio", grade(apart, 0.2, 0.55), said, first, last))
    return checks


def _speed_error(phase: Phase, t: float) -> float:
    away = abs(t - phase.fit.middle)
    return float(phase.fit.error[1, 1] + 2 * phase.fit.error[2, 1] * away)


def _sinks_through(path: Path, scene: Scene) -> list[Check]:
    """A fall that leaves at the bottom of the picture, where a bounce was asked for."""
    if path.track.frames[-1] >= len(scene.times) - 1 or not path.phases:
        return []
    phase = path.phases[-1]
    down = float(phase.fit.velocity(phase.end)[1])
    next_frame = float(scene.times[path.track.frames[-1]] + np.median(np.diff(path.t)))
    low = float(phase.fit.at(next_frame)[1]) + path.size / 2
    if low > scene.height - 3 and down * phase.duration > 4 and not _turned(path):
        frames = int(path.rows[phase.first]), int(path.track.frames[-1])
        return [Check("bounces", 0.0, "it falls out of the picture without a bounce", *frames)]
    return []


def _turned(path: Path) -> bool:
    """Whether it has ever come up again."""
    lowest = np.maximum.accumulate(path.xy[:, 1])
    return bool((lowest - path.xy[:, 1]).max() > max(3.0, 0.3 * path.size) and path.xy[:, 1].argmax() > 2)


def bounce_ratios(path: Path) -> list[float]:
    """The speed kept over every bounce of a path."""
    found, kept = flights(path), []
    for a, b in zip(path.phases, path.phases[1:], strict=False):
        lands = _meeting(a, b)
        if lands is not None and any(f.phase is a for f in found) and any(f.phase is b for f in found):
            kept.append(-float(b.fit.velocity(lands)[1]) / float(a.fit.velocity(lands)[1]))
    return kept
