"""Things on the ground and on slopes: rolling, friction, inertia, rest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from evals.metrics.physics.checks import Check, Tested, Untestable, grade
from evals.metrics.physics.paths import Path, Phase, fitted, path_of
from evals.tracking import Scene

SURE = 4.0
NONE_SEEN = Untestable("nothing is seen to move by a track that can be believed")


def _paths(scene: Scene) -> list[Path]:
    found = [path_of(track, scene) for track in scene.confident]
    return [path for path in found if len(path.t) >= 6]


def _frames(path: Path, phase: Phase) -> tuple[int, int]:
    return int(path.rows[phase.first]), int(path.rows[phase.last])


def _along(phase: Phase) -> tuple[float, float, float]:
    """Speed at the start, speed at the end, and acceleration along the way, of a straight phase."""
    way = phase.travel / max(float(np.linalg.norm(phase.travel)), 1e-9)
    ends = [float(phase.fit.velocity(t) @ way) for t in (phase.start, phase.end)]
    return ends[0], ends[1], float(phase.fit.acceleration @ way)


def rolling(scene: Scene) -> Tested:
    """Rolling: on a slope it gains speed downhill, uniformly; on level ground it gains none."""
    checks: list[Check] = []
    for path in _paths(scene):
        for phase in path.phases:
            if phase.count < 4 or not path.moving(phase):
                continue
            checks += _downhill(path, phase) + _no_gain(path, phase)
    checks += [c for path in _paths(scene) for c in _climbs(path)]
    return tuple(checks) or NONE_SEEN


def _downhill(path: Path, phase: Phase) -> list[Check]:
    """On a slope the acceleration points downhill and is constant."""
    across, along = np.abs(phase.travel)
    steep = along > 0.07 * across and along > 4
    a, error = phase.fit.acceleration, phase.fit.acceleration_error
    # Slowing on the way up, and the push of a curved track, point up in the picture as well.
    start, end, _ = _along(phase)
    rises = float(phase.travel[1]) < -max(4.0, 0.3 * path.size) and end > start
    lifted = rises and float(a[1]) < -SURE * error and -float(a[1]) * phase.duration**2 / 8 > 1.5
    if lifted:
        return [Check("downhill", 0.0, "it is accelerated upwards", *_frames(path, phase))]
    if not steep:
        return []
    downhill = phase.travel * np.sign(phase.travel[1])
    pull = float(a @ downhill) / float(np.linalg.norm(downhill))
    gains = abs(pull) > SURE * error and abs(pull) * phase.duration > 0.15 * phase.speed
    if not gains:
        return []
    if pull < 0 and not (float(phase.travel[1]) < 0 and end > start):
        return []  # it slows on its way down: friction on a floor that is seen from above
    said = f"on the slope it is accelerated {'downhill' if pull > 0 else 'uphill'}"
    checks = [Check("downhill", float(pull > 0), said, *_frames(path, phase))]
    return [*checks, *_uniform(path, phase, abs(pull))]


def _uniform(path: Path, phase: Phase, pull: float) -> list[Check]:
    if phase.count < 9:
        return []
    part = slice(phase.first, phase.last + 1)
    cubic = fitted(path.t[part], path.xy[part], 3)
    way = phase.travel / max(float(np.linalg.norm(phase.travel)), 1e-9)
    change = abs(6 * float(cubic.c[3] @ way)) * phase.duration
    error = 6 * float(cubic.error[3].max()) * phase.duration
    share = max(0.0, change - 2 * error) / pull
    return [Check("constant", grade(share, 0.7, 1.8), f"the acceleration changes by {change / pull:.0%}",
                  *_frames(path, phase))]  # fmt: skip


def _no_gain(path: Path, phase: Phase) -> list[Check]:
    """On level ground nothing gains speed by itself."""
    across, along = np.abs(phase.travel)
    if along > 0.03 * across + 2 or across < max(8.0, 0.8 * path.size):
        return []
    start, end, a = _along(phase)
    error = 2 * phase.fit.acceleration_error * phase.duration / max(phase.speed, 1e-9)
    gain = max(0.0, (end - start) / max(phase.speed, 1e-9) - error) if a > 0 else 0.0
    said = f"on level ground its speed changes by {(end - start) / max(phase.speed, 1e-9):+.0%}"
    return [Check("no_gain", grade(gain, 0.15, 0.45), said, *_frames(path, phase))]


def _climbs(path: Path) -> list[Check]:
    """What starts from rest never comes to rest higher than it started, nor rises above that."""
    if not path.phases or path.phases[0].count < 3:
        return []
    first = path.phases[0]
    still = first.reach < max(1.5, 0.1 * path.size)
    begins = float(path.xy[: max(3, first.count if still else 3), 1].mean())
    rest = still or float(np.linalg.norm(first.fit.velocity(first.start))) < 0.15 * first.speed
    rise = (begins - float(path.xy[:, 1].min())) / path.size
    if not rest or path.travel < 1.5 * path.size:
        return []
    top = int(path.rows[int(path.xy[:, 1].argmin())])
    said = f"from rest it rises by {max(0.0, rise):.1f} of its size"
    return [Check("never_higher", grade(rise, 0.35, 1.0), said, int(path.rows[0]), top)]


def friction(scene: Scene) -> Tested:
    """Sliding: it slows down, uniformly, and stays where it stops."""
    checks: list[Check] = []
    for path in _paths(scene):
        checks += _slows(path) + _stays(path)
    return tuple(checks) or NONE_SEEN


def _level(path: Path, phase: Phase) -> bool:
    across, along = np.abs(phase.travel)
    return phase.count >= 4 and across > max(6.0, 0.3 * path.size) and along <= 0.03 * across + 2


def _slows(path: Path) -> list[Check]:
    """It never gains speed after it has last been slowed: before that, something may push it."""
    sliding = [p for p in path.phases if _level(path, p)]
    checks, slowed, pushed = list[Check](), list[tuple[Phase, float, float]](), True
    for phase in reversed(sliding):
        start, end, a = _along(phase)
        error = phase.fit.acceleration_error
        change = (end - start) / max(phase.speed, 1e-9)
        sure = abs(a) > SURE * error
        gain = max(0.0, change - 2 * error * phase.duration / max(phase.speed, 1e-9))
        if sure and a < 0:
            slowed.append((phase, -a, error))
            checks += _uniform(path, phase, -a)
            pushed = False
        if (pushed and (sure or gain > 0)) or (sure and a < 0):
            said = f"while it slides its speed changes by {change:+.0%}"
            checks.append(Check("slows", grade(gain, 0.1, 0.4), said, *_frames(path, phase)))
    for (other, b, g), (one, a, e) in pairwise(slowed):
        if max(e / a, g / b) < 0.2 and min(one.count, other.count) >= 5 and one.last + 2 >= other.first:
            apart = max(0.0, abs(a - b) - 2 * float(np.hypot(e, g))) / ((a + b) / 2)
            said = f"it is slowed {max(a, b) / min(a, b):.1f} times as much at one time as at another"
            first, last = int(path.rows[one.first]), int(path.rows[other.last])
            checks.append(Check("constant", grade(apart, 0.7, 1.5), said, first, last))
    return checks


def _stays(path: Path) -> list[Check]:
    """After it has come to rest it does not set out again."""
    for k, phase in enumerate(path.phases):
        still = phase.count >= 4 and phase.reach < max(1.0, 0.05 * path.size)
        if still and k > 0 and any(path.moving(p) for p in path.phases[:k]):
            rest = path.xy[phase.first : phase.last + 1].mean(0)
            after = path.xy[phase.last + 1 :]
            away = np.abs(after - rest).max() / path.size if len(after) else 0.0
            said = f"after it has stopped it moves by {away:.1f} of its size"
            return [Check("stays", grade(float(away), 0.3, 1.0), said, int(path.rows[phase.first]),
                          int(path.rows[-1]))]  # fmt: skip
    return []


def inertia(scene: Scene) -> Tested:
    """Nothing pushes: straight on, and no gain of speed."""
    checks: list[Check] = []
    for path in _paths(scene):
        if path.travel < max(8.0, path.size):
            continue
        checks += _straight_on(path)
        checks += [c for phase in path.phases if phase.count >= 5 for c in _no_gain(path, phase)]
        checks += _speeds(path)
    return tuple(checks) or NONE_SEEN


def _straight_on(path: Path) -> list[Check]:
    middle = path.xy - path.xy.mean(0)
    _, _singular, axes = np.linalg.svd(middle, full_matrices=False)
    off = np.abs(middle @ axes[1])
    share = float(np.quantile(off, 0.9)) / max(float(np.ptp(middle @ axes[0])), 1e-9)
    worst = int(path.rows[int(off.argmax())])
    said = f"it leaves the straight line by {share:.0%} of its way"
    return [Check("straight", grade(share, 0.05, 0.2), said, max(0, worst - 1), worst)]


def _speeds(path: Path) -> list[Check]:
    """No later stretch is faster than an earlier one; what rests may be pushed first."""
    level = [p for p in path.phases if p.count >= 4 and np.abs(p.travel)[1] <= 0.03 * np.abs(p.travel)[0] + 2]
    checks = []
    for one, other in pairwise(level):
        if not path.moving(one):
            continue
        before, after = one.speed, other.speed
        error = 2 * (one.fit.error[1].max() + other.fit.error[1].max())
        gain = max(0.0, after - before - error) / max(before, after, 1e-9)
        said = f"its speed goes from {before:.0f} to {after:.0f} pixels per second"
        frames = int(path.rows[one.last]), int(path.rows[other.last])
        checks.append(Check("no_gain", grade(gain, 0.15, 0.45), said, *frames))
    return checks


def rest(scene: Scene) -> Tested:
    """What rests stays at rest: nothing sets out by itself."""
    if scene.lost:
        return Untestable("the camera moves in a way that cannot be followed")
    last = len(scene.times) - 1
    checks = []
    for track in scene.known:
        away = float(np.ptp(track.xy[track.seen], axis=0).max()) / track.size
        said = f"something moves by {away:.1f} of its size"
        frames = int(track.frames[0]), int(track.frames[-1])
        checks.append(Check("rests", grade(away, 0.3, 1.0), said, *frames))
    if checks:
        return tuple(checks)
    if scene.moves > 0.002:
        return Untestable("something moves, and no track of it can be believed")
    return (Check("rests", 1.0, "nothing moves", 0, last),)
