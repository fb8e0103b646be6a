"""Whether things move without jumps: no teleports, no impossible jerk."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evals.metrics.physics.checks import Check, grade
from evals.runs.features import Features
from evals.tracking import Scene, Track

USUAL = 6

Array = NDArray[np.float64]


def of_tracks(scene: Scene) -> tuple[Check, ...]:
    """The checks of all confident tracks."""
    known = [track for track in scene.known if track.clear.sum() >= USUAL]
    checks = [c for track in known for c in (_jumps(track), *_jerk(track))]
    for a in known:
        checks += [c for b in scene.tracks if a is not b for c in _elsewhere(a, b, scene)]
    return tuple(checks)


def _jumps(track: Track) -> Check:
    """A step that those before and after it do not explain."""
    if track.jumped.any():
        row = int(np.flatnonzero(track.jumped)[0])
        frame = int(track.frames[row])
        away = float(np.linalg.norm(track.xy[row] - track.xy[row - 1])) / track.size
        return Check("no_teleport", 0.0, f"it is {away:.1f} times its size away at once", frame - 1, frame)
    rows = np.flatnonzero(track.clear)
    steps, frames = [], []
    for i, j in pairwise(rows):
        if j == i + 1:
            steps.append(track.xy[j] - track.xy[i])
            frames.append(int(track.frames[i]))
    worst, where = 0.0, int(track.frames[0])
    for before, step, after, frame in zip(steps, steps[1:], steps[2:], frames[1:], strict=False):
        # A bounce takes a step off the mean of its neighbours by no more than the larger of them.
        off = float(np.linalg.norm(step - (before + after) / 2))
        beyond = (off - float(max(np.linalg.norm(before), np.linalg.norm(after)))) / track.size
        if beyond > worst:
            worst, where = beyond, frame
    said = f"a step is {worst:.1f} times its size longer than motion explains"
    return Check("no_teleport", grade(worst, 0.5, 1.2), said, where, where + 1)


def _elsewhere(a: Track, b: Track, scene: Scene) -> list[Check]:
    """A thing that ends in the middle of the picture, and one like it that begins elsewhere right after."""
    after = int(b.frames[0] - a.frames[-1])
    if (
        not 1 <= after <= 2
        or len(b.frames) < 4
        or a.edge[-2:].any()
        or b.edge[:2].any()
        or a.merged[-2:].any()
    ):
        return []
    alike = abs(np.log(b.size / a.size)) < np.log(1.3) and np.linalg.norm(a.tint - b.tint) < 35
    away = float(np.linalg.norm(b.xy[0] - a.xy[-1]))
    if not alike or away < 2.5 * a.size:
        return []
    first, last = int(a.frames[-1]), int(b.frames[0])
    return [Check("no_teleport", 0.0, f"it is {away / a.size:.1f} times its size away at once", first, last)]


def _jerk(track: Track) -> list[Check]:
    """The share of frames in which it is pushed to and fro: the second difference of its place turns round
    and is larger than a fifth of its size."""
    rows = np.flatnonzero(track.clear)
    whole = [i for i in rows if i + 3 < len(track.clear) and track.clear[i : i + 4].all()]
    if len(whole) < 4:
        return []
    least = 0.12 * track.size + 1.0
    shaken = []
    for i in whole:
        one = track.xy[i + 2] - 2 * track.xy[i + 1] + track.xy[i]
        other = track.xy[i + 3] - 2 * track.xy[i + 2] + track.xy[i + 1]
        strong = min(np.linalg.norm(one), np.linalg.norm(other)) > least
        shaken.append(bool(strong and float(one @ other) < 0))
    share = float(np.mean(shaken))
    at = int(track.frames[whole[int(np.argmax(shaken))]])
    said = f"in {share:.0%} of the frames it is pushed to and fro"
    return [Check("smooth", grade(share, 0.15, 0.5), said, at, at + 3)]


JERKY = (0.12, 0.5)
"""Of the steps of points that move, the share with an abrupt change of velocity: where the score is 1, and
0."""


def of_points(features: Features) -> tuple[Check, ...]:
    """How many steps of the points that move change their velocity abruptly: by more than its own length and
    one pixel, at a short side of 256. Steps in which nothing moves between others in which much does are
    repeated frames, and are left out."""
    xy = np.asarray(features["xy"], np.float64)
    kept = np.asarray(features["kept"]) > 0
    moved, sudden = [], []
    for window in range(len(xy)):
        velocity = np.diff(xy[window], axis=0)
        speed = np.linalg.norm(velocity, axis=-1)
        alive = kept[window, 1:]
        usual = (speed * alive).sum(1) / np.maximum(alive.sum(1), 1)
        goes = usual[usual > 0.05]
        rows = np.flatnonzero(usual > 0.2 * np.median(goes)) if len(goes) else np.zeros(0, np.int64)
        for i, j in pairwise(rows):
            if j - i > 3:
                continue
            both = (speed[i] + speed[j]) / 2
            moves = kept[window, j + 1] & (both > 0.5)
            abrupt = moves & (np.linalg.norm(velocity[j] - velocity[i], axis=-1) > both + 1.0)
            moved.append(int(moves.sum()))
            sudden.append((int(abrupt.sum()), int(np.asarray(features["start"])[window]) + int(i)))
    count = sum(moved)
    if count < 50:
        return ()
    share = sum(n for n, _ in sudden) / count
    worst = int(np.argmax([n / max(20, m) for (n, _), m in zip(sudden, moved, strict=True)]))
    said = f"{share:.0%} of the steps of moving points are abrupt"
    at = sudden[worst][1]
    return (Check("points_smooth", grade(share, *JERKY), said, at, at + 2),)
