"""From detections to tracks: the Hungarian method with a motion model, through occlusion and contact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from evals.runs.features import Features
from evals.tracking.confidence import confidence
from evals.tracking.tracks import Track

LONGEST = 400  # frames after which a track that is not seen ends, at most
ALIKE_AREA, ALIKE_COLOUR, OTHER_COLOUR = 1.6, 40.0, 60.0
MANY = 12  # detections in a usual frame, beyond which nothing is told from anything
MERGED = 1.25  # times a thing's area that a region it shares has at least
FORBIDDEN = 1e6

Array = NDArray[np.float64]


@dataclass
class _Seen:
    """One detection."""

    xy: Array
    area: float
    width: float
    height: float
    colour: Array
    edge: bool

    def holds(self, at: Array, margin: float) -> bool:
        """Whether a place lies in its box."""
        half = np.array([self.width, self.height]) / 2 + margin
        return bool((np.abs(at - self.xy) <= half).all())


@dataclass
class _Row:
    frame: int
    xy: Array
    of: _Seen
    seen: bool = True
    merged: bool = False
    jumped: bool = False


@dataclass
class _Open:
    """A track that is being made."""

    rows: list[_Row] = field(default_factory=list)

    @property
    def last(self) -> _Row:
        return next(row for row in reversed(self.rows) if row.seen)

    @property
    def age(self) -> int:
        return sum(row.seen for row in self.rows)

    def recent(self, count: int) -> list[_Row]:
        """The last rows in which it is seen by itself and whole since it last jumped."""
        found, whole = list[_Row](), 0.92 * self.area
        for row in reversed(self.rows):
            if row.seen and not row.merged and row.of.area >= whole:
                found.append(row)
            if row.jumped or len(found) == count:
                break
        return found[::-1]

    @property
    def area(self) -> float:
        whole = [r.of.area for r in self.rows if r.seen and not r.merged and not r.of.edge][-9:]
        return float(np.median(whole or [r.of.area for r in self.rows if r.seen][-3:]))

    @property
    def colour(self) -> Array:
        return np.asarray(np.median([r.of.colour for r in self.rows if r.seen][-9:], axis=0), np.float64)

    def velocity(self) -> Array:
        """Pixels per frame, of the last two observations."""
        rows = self.recent(2)
        if len(rows) < 2:
            before = [r for r in self.rows if r.seen and not r.merged]
            before = before[-3:-1] if len(before) >= 3 and before[-1].jumped else []
            if len(before) < 2:
                return np.zeros(2)
            rows = before
        return np.asarray((rows[1].xy - rows[0].xy) / (rows[1].frame - rows[0].frame), np.float64)

    def predicted(self, frame: int) -> Array:
        """Where it should be: uniform acceleration where the last five observations show one, else uniform
        motion."""
        rows = self.recent(5)
        last = rows[-1] if rows else self.last
        ahead = frame - last.frame
        if len(rows) >= 4:
            t = np.array([r.frame - last.frame for r in rows], np.float64)
            xy = np.array([r.xy for r in rows])
            fit = np.polynomial.polynomial.polyfit(t, xy, 2)
            off = np.abs(np.vander(t, 3, increasing=True) @ fit - xy).max()
            if off < 0.6 + 0.03 * np.sqrt(self.area):
                return np.asarray(fit[0] + fit[1] * ahead + fit[2] * ahead * ahead, np.float64)
        return np.asarray(last.xy + self.velocity() * ahead, np.float64)


def tracks_of(detections: Features) -> list[Track]:
    """Tracks from the features of the frame extractor `moving`; none where too much moves in a usual
    frame."""
    clip = np.asarray(detections["clip"], np.float64)[0]
    count, every = int(clip[0]), int(clip[5])
    frames = (np.asarray(detections["frame"], np.float64) / every).round().astype(int)
    by_frame: list[list[_Seen]] = [[] for _ in range(count)]
    for i, frame in enumerate(frames):
        one = {n: float(np.asarray(detections[n])[i]) for n in ("x", "y", "area", "width", "height", "edge")}
        by_frame[frame].append(
            _Seen(
                np.array([one["x"], one["y"]]),
                one["area"],
                one["width"],
                one["height"],
                np.asarray(detections["colour"], np.float64)[i],
                one["edge"] > 0.5,
            )
        )
    if float(np.median([len(seen) for seen in by_frame])) > MANY:
        return []
    patience = min(LONGEST, max(12, count // 3))
    open_, done = list[_Open](), list[_Open]()
    for frame, seen in enumerate(by_frame):
        free = _associate(open_, seen, frame)
        open_ += [_Open([_Row(frame, one.xy, one)]) for one in free]
        still: list[_Open] = []
        for track in open_:
            waits = patience if track.age >= 4 else 2
            (still if frame - track.last.frame <= waits else done).append(track)
        open_ = still
    made = [_finished(track) for track in (*done, *open_) if track.age >= 3]
    return sorted(made, key=lambda t: (t.frames[0], t.xy[0, 0], t.xy[0, 1]))


def _associate(open_: Sequence[_Open], seen: Sequence[_Seen], frame: int) -> list[_Seen]:
    """Give every open track its row of a frame, where it has one; what belongs to none is left."""
    free, left = list(range(len(seen))), list(open_)
    left, free = _matched(left, seen, free, frame, wide=False)
    left, free = _merged(left, open_, seen, free, frame)
    left, free = _matched(left, seen, free, frame, wide=True)
    left, free = _jumps(left, seen, free, frame)
    for track in left:  # hidden, or gone
        last = track.last.of
        track.rows.append(_Row(frame, track.predicted(frame), last, seen=False))
    return [seen[i] for i in free]


def _matched(
    tracks: list[_Open], seen: Sequence[_Seen], free: list[int], frame: int, wide: bool
) -> tuple[list[_Open], list[int]]:
    """Assign free detections to tracks at the least cost; the tracks and detections that are left."""
    if not tracks or not free:
        return tracks, free
    expected = [_expected(track, frame) for track in tracks]
    costs = np.array([[_cost(one, seen[i], wide) for i in free] for one in expected])
    rows, columns = linear_sum_assignment(costs)
    taken = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if costs[r, c] < FORBIDDEN}
    for r, c in taken.items():
        tracks[r].rows.append(_Row(frame, seen[free[c]].xy, seen[free[c]]))
    used = set(taken.values())
    left = [track for r, track in enumerate(tracks) if r not in taken]
    return left, [i for c, i in enumerate(free) if c not in used]


@dataclass(frozen=True)
class _Expected:
    """What a track should look like in a frame, worked out once for all detections: its place, area and
    colour, pixels that it may have moved, frames since it was seen, and how often it was."""

    at: Array
    area: float
    colour: Array
    moved: float
    ahead: int
    age: int
    last: _Seen


def _expected(track: _Open, frame: int) -> _Expected:
    ahead = frame - track.last.frame
    moved = float(np.linalg.norm(track.velocity())) * min(ahead, 4)
    at = track.predicted(frame)
    return _Expected(at, track.area, track.colour, moved, ahead, track.age, track.last.of)


def _cost(track: _Expected, one: _Seen, wide: bool) -> float:
    ahead, size = track.ahead, math.sqrt(track.area)
    young = track.age < 2
    if wide:
        reach = (4.0 if young else 2.5) * size + 1.7 * track.moved + 4
    else:
        reach = (1.2 if young else 0.8) * size + 0.35 * track.moved + 3 + 0.15 * (ahead - 1) * size
    away = math.dist(one.xy, track.at)
    if away > reach:
        return FORBIDDEN
    bigger = abs(math.log(one.area / track.area))
    colour = math.dist(one.colour, track.colour)
    partly = one.edge or track.last.edge or young
    most = math.log(ALIKE_AREA if wide or track.age >= 4 else 2.2)
    # What goes behind something, or comes out, shows less of itself from frame to frame.
    covered = (
        not wide and one.area < track.area and one.area > 0.3 * track.last.area and away < 0.6 * size + 3
    )
    if not partly and not covered and ahead == 1 and bigger > most:
        return FORBIDDEN
    if ahead > 1 and one.area < 0.12 * track.area:
        return FORBIDDEN
    if colour > (ALIKE_COLOUR if wide or ahead > 1 else OTHER_COLOUR) and not partly:
        return FORBIDDEN
    return away / reach + 0.5 * bigger + colour / 80


def _merged(
    left: list[_Open], all_: Sequence[_Open], seen: Sequence[_Seen], free: list[int], frame: int
) -> tuple[list[_Open], list[int]]:
    """Tracks that should be inside a region which is larger than either is: they touch, or one hides the
    other."""
    held: dict[int, list[_Open]] = {}
    for track in left:
        if track.age < 3:
            continue
        at = track.predicted(frame)
        for i, one in enumerate(seen):
            if one.holds(at, 2.0) and one.area > MERGED * track.area:
                held.setdefault(i, []).append(track)
                break
    gone: set[int] = set()
    for i, tracks in held.items():
        owner = next((t for t in all_ if t.rows[-1].frame == frame and t.rows[-1].of is seen[i]), None)
        if owner is None and len(tracks) < 2:
            continue  # one thing alone that has become larger
        if owner is not None and owner.age > 3:
            alone = _Open(owner.rows[:-1]).area  # a region no larger than its owner holds nothing else
            tracks = [t for t in tracks if seen[i].area > alone + 0.35 * t.area]
        if owner is not None and owner.age > 3:
            before = _Open(owner.rows[:-1])
            if seen[i].area > MERGED * before.area:
                owner.rows[-1] = _Row(frame, before.predicted(frame), seen[i], seen=False, merged=True)
        for track in tracks:
            track.rows.append(_Row(frame, track.predicted(frame), seen[i], seen=False, merged=True))
            gone.add(id(track))
        if i in free:
            free = [j for j in free if j != i]
    return [t for t in left if id(t) not in gone], free


def _jumps(
    left: list[_Open], seen: Sequence[_Seen], free: list[int], frame: int
) -> tuple[list[_Open], list[int]]:
    """A thing that is gone from one frame to the next, and one just like it elsewhere."""
    for track in list(left):
        last = track.last
        if track.age < 4 or last.frame != frame - 1 or last.of.edge:
            continue
        for i in free:
            one = seen[i]
            same = abs(np.log(one.area / track.area)) < np.log(1.35)
            if same and np.linalg.norm(one.colour - track.colour) < 30 and not one.edge:
                track.rows.append(_Row(frame, one.xy, one, jumped=True))
                left, free = [t for t in left if t is not track], [j for j in free if j != i]
                break
    return left, free


def _cut_off(rows: Sequence[_Row]) -> NDArray[np.bool_]:
    """Where a thing shows much less of itself than just before or just after: it is partly behind
    something."""
    area = np.array([r.of.area if r.seen else np.nan for r in rows])
    found = np.zeros(len(rows), np.bool_)
    for i in range(len(rows)):
        around = [area[max(0, i - 4) : i], area[i + 1 : i + 5]]
        usual = [float(np.nanmedian(part)) for part in around if np.isfinite(part).any()]
        found[i] = bool(usual) and bool(area[i] < 0.65 * max(usual))
    return found


def _finished(track: _Open) -> Track:
    """The track, up to the last row in which it is seen."""
    rows = track.rows[: max(i for i, row in enumerate(track.rows) if row.seen) + 1]
    made = Track(
        frames=np.array([r.frame for r in rows]),
        xy=np.array([r.xy for r in rows]),
        area=np.array([r.of.area for r in rows]),
        width=np.array([r.of.width for r in rows]),
        height=np.array([r.of.height for r in rows]),
        colour=np.array([r.of.colour for r in rows]),
        seen=np.array([r.seen for r in rows]),
        merged=np.array([r.merged for r in rows]),
        edge=np.array([r.of.edge for r in rows]) | _cut_off(rows),
        jumped=np.array([r.jumped for r in rows]),
        confidence=0.0,
    )
    return confidence(made)
