"""Whether things last: they don't vanish, appear, split, or change size or colour without cause."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.metrics.physics.checks import Check, grade
from evals.runs.features import Features
from evals.tracking import Scene, Track

MARGIN = 2  # frames at the ends of a clip in which nothing can be said
USUAL = 6  # clear observations of a thing that is known

Array = NDArray[np.float64]


def of_tracks(scene: Scene, planar: bool) -> tuple[Check, ...]:
    """The checks of all confident tracks. `planar` says that things stay at one distance from the camera, so
    that a change of size has no cause."""
    checks: list[Check] = []
    for track in scene.known:
        if track.clear.sum() >= USUAL:
            checks += [_ends(track, scene), _starts(track, scene), *_colour(track)]
            checks += _size(track) if planar else []
            checks += _comes_back(track)
    return tuple(checks)


def _ends(track: Track, scene: Scene) -> Check:
    last = int(track.frames[-1])
    gone = last < len(scene.times) - 1 - MARGIN and not _cause(track, scene, -1)
    said = "it vanishes in the middle of the picture" if gone else "it stays, or leaves with cause"
    return Check("stays", 0.0 if gone else 1.0, said, last, min(len(scene.times) - 1, last + 1))


def _starts(track: Track, scene: Scene) -> Check:
    first = int(track.frames[0])
    new = first > MARGIN and not _cause(track, scene, 0)
    said = (
        "it appears in the middle of the picture"
        if new
        else "it is there from the start, or comes with cause"
    )
    return Check("appears", 0.0 if new else 1.0, said, max(0, first - 1), first)


def _cause(track: Track, scene: Scene, end: int) -> bool:
    """Whether a track's end (−1) or start (0) has a cause: the edge of the picture, contact with something, a
    cover that it goes behind step by step or faster than could be seen, another track that goes on there."""
    rows = slice(-2, None) if end else slice(0, 2)
    if track.edge[rows].any() or track.merged[rows].any():
        return True
    at = track.xy[end]
    step = _velocity(track, end)
    size = float(np.sqrt(track.area[end]))
    ahead = at + step * (1.5 if end else -1.5)
    half = 0.6 * max(size, track.size) + 2
    if (ahead < half).any() or (ahead > np.array([scene.width, scene.height]) - half).any():
        return True
    if track.area[end] < 0.75 * track.size**2 or float(np.linalg.norm(step)) > 1.1 * track.size:
        return True
    return any(_goes_on(track, other, end) for other in scene.tracks if other is not track)


def _velocity(track: Track, end: int) -> Array:
    """Pixels per frame at an end, in the direction of time."""
    rows = np.flatnonzero(track.seen)
    rows = rows[-4:] if end else rows[:4]
    if len(rows) < 2:
        return np.zeros(2)
    return np.asarray(
        (track.xy[rows[-1]] - track.xy[rows[0]]) / (track.frames[rows[-1]] - track.frames[rows[0]]),
        np.float64,
    )


def _goes_on(track: Track, other: Track, end: int) -> bool:
    """Whether another track is where this one ends, or starts or ends near there at about that time: the
    thing is covered by it, or has only lost its number."""
    frame = track.frames[end]
    there = np.abs(other.frames - frame) <= 1
    reach = 0.7 * (track.size + other.size)
    if there.any():
        apart = np.abs(other.xy[there] - track.xy[end])
        sides = np.stack([other.width[there], other.height[there]], 1) / 2 + 0.7 * track.size
        if (apart < sides).all(1).any() or np.linalg.norm(apart, axis=1).min() < reach:
            return True
    mine = other.frames[0] - frame if end else frame - other.frames[-1]
    place = other.xy[0] if end else other.xy[-1]
    near = float(np.linalg.norm(place - track.xy[end] - _velocity(track, end) * (mine if end else -mine)))
    alike = abs(np.log(other.size / track.size)) < np.log(1.5)
    return bool(0 < mine <= 12 and near < 1.5 * track.size + 4 and alike)


def _thirds(values: Array) -> tuple[Array, Array]:
    k = max(2, len(values) // 3)
    return np.median(values[:k], axis=0), np.median(values[-k:], axis=0)


def _size(track: Track) -> list[Check]:
    sides = np.sqrt(track.area[track.clear])
    first, last = _thirds(sides)
    change = float(np.log(last / first))
    said = f"its size changes by {np.exp(change) - 1:+.0%}"
    rows = track.frames[track.clear]
    score = grade(abs(change), 0.12 + 1.0 / track.size, 0.28 + 2.0 / track.size)
    return [Check("size", score, said, int(rows[0]), int(rows[-1]))]


def _colour(track: Track) -> list[Check]:
    first, last = _thirds(track.colour[track.clear])
    rows = track.frames[track.clear]
    away = float(np.linalg.norm(last - first))
    said = f"its colour changes by {away:.0f} grey levels"
    return [Check("colour", grade(away, 28, 62), said, int(rows[0]), int(rows[-1]))]


def _comes_back(track: Track) -> list[Check]:
    """A thing that was hidden and is seen again."""
    hidden = ~track.seen & ~track.merged
    if hidden.sum() < 3:
        return []
    rows = track.frames[hidden]
    return [Check("comes_back", 1.0, f"hidden for {int(hidden.sum())} frames, it comes back", int(rows[0]),
                  int(rows[-1]))]  # fmt: skip


TEXTURED = 0.1  # of the points, that lie on something
LOST, CUT = (0.2, 0.5), 0.6
"""Of all points, the share that is lost in one step beyond those before and after it: where the score is 1,
and 0; and the share from which on the step is a cut or a swing of the camera, and says nothing about
things."""


def of_points(features: Features) -> tuple[Check, ...]:
    """How much of the picture is lost in a single step, more than in the steps before and after."""
    kept = np.asarray(features["kept"], np.float64)
    start = np.asarray(features["start"], np.float64)
    alive = kept.sum(2)
    lost = (alive[:, :-1] - alive[:, 1:]) / np.maximum(alive[:, :-1], 40.0)
    around = np.pad(lost, ((0, 0), (1, 1)))
    beyond = lost - np.maximum(around[:, :-2], around[:, 2:])
    usable = (lost <= CUT) & (alive[:, :-1] >= 40) & (np.asarray(features["texture"]) >= TEXTURED)[:, None]
    if usable.mean() < 0.5:
        return ()  # there is nothing to see, or nothing that can be followed
    beyond[~usable] = 0.0
    beyond[:, [0, -1]] = 0.0
    window, pair = (int(v) for v in np.unravel_index(int(beyond.argmax()), beyond.shape))
    frame = int(start[window]) + pair
    said = f"{lost[window, pair]:.0%} of the points that are followed are lost at once"
    return (Check("points_kept", grade(float(beyond.max()), *LOST), said, frame, frame + 1),)
