"""A track, a scene of tracks, and how both are kept as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.runs.features import Features

CONFIDENT = 0.5
"""The confidence from which on a track is used."""
FEW = 6
"""Things in a scene up to which they can be told from each other."""

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Track:
    """One thing, frame by frame from the first to the last one in which it is seen.

    `frames` (m,) counts frames that were looked at; `xy` (m, 2) pixels at working size; `area` (m,) square
    pixels; `width`, `height` (m,); `colour` (m, 3); `seen` (m,) where it is observed by itself, elsewhere the
    place is the motion model's; `merged` where it is one region with something else; `edge` where it touches
    the edge of the picture, or is cut off by something in front of it; `jumped` where it is not where it can
    have moved to."""

    frames: NDArray[np.int64]
    xy: Array
    area: Array
    width: Array
    height: Array
    colour: Array
    seen: Flags
    merged: Flags
    edge: Flags
    jumped: Flags
    confidence: float

    @property
    def clear(self) -> Flags:
        """Where it is observed by itself and whole."""
        return self.seen & ~self.merged & ~self.edge

    @property
    def size(self) -> float:
        """Pixels a side of a square of its usual area."""
        usual = self.area[self.clear] if self.clear.any() else self.area
        return float(np.sqrt(np.median(usual)))

    @property
    def moves(self) -> bool:
        """Whether it goes anywhere, by more than its outline is off."""
        places = self.xy[self.clear] if self.clear.any() else self.xy
        return float(np.ptp(places, axis=0).max()) > max(3.0, 0.35 * self.size)

    @property
    def tint(self) -> Array:
        """Its usual colour (3,)."""
        usual = self.colour[self.clear] if self.clear.any() else self.colour
        return np.asarray(np.median(usual, axis=0), np.float64)


@dataclass(frozen=True)
class Scene:
    """The tracks of a clip. `times` (n,) are seconds at which the frames that were looked at are shown,
    `index` their numbers among all frames; `lost` says that the camera's motion is not known; `moves` is the
    share of the picture that moves, `noise` grey levels, `explained` the share of all that moves which
    confident tracks are of."""

    tracks: tuple[Track, ...]
    times: Array
    index: NDArray[np.int64]
    width: float
    height: float
    lost: bool = False
    steadied: bool = False
    moves: float = 0.0
    noise: float = 0.0
    explained: float = 1.0

    @property
    def short(self) -> float:
        """Pixels of the short side."""
        return min(self.width, self.height)

    @property
    def uneven(self) -> bool:
        """Whether frames are shown at times that are far from even: what moves cannot be timed."""
        steps = np.diff(self.times)
        usual = float(np.median(steps)) if len(steps) else 0.0
        return bool(len(steps) and (steps.max() > 1.7 * usual or steps.min() < 0.4 * usual))

    @property
    def plain(self) -> bool:
        """Whether what is seen are a few things that can be told from each other."""
        return not self.lost and 1 <= len(self.known) <= FEW and self.explained >= 0.6 and self.moves < 0.3

    @property
    def known(self) -> tuple[Track, ...]:
        """The tracks that can be believed, the most confident first."""
        kept = [t for t in self.tracks if t.confidence >= CONFIDENT]
        return tuple(sorted(kept, key=lambda t: (-t.confidence, t.frames[0], t.xy[0, 0])))

    @property
    def confident(self) -> tuple[Track, ...]:
        """Of these, the ones that go anywhere: what laws are tested on."""
        return tuple(t for t in self.known if t.moves)


_SCALARS = ("area", "width", "height", "seen", "merged", "edge", "jumped")


def packed(tracks: Sequence[Track], detections: Features) -> Features:
    """Tracks as arrays of rows, `track` being the number of each row's; `clip` as in the detections, with the
    share of their area that confident tracks are of."""
    number = [np.full(len(t.frames), i, np.float64) for i, t in enumerate(tracks)]
    found: Features = {"track": np.concatenate([np.zeros(0), *number])}
    found["frame"] = np.concatenate([np.zeros(0), *(t.frames.astype(np.float64) for t in tracks)])
    for name in _SCALARS:
        found[name] = np.concatenate([np.zeros(0), *(getattr(t, name).astype(np.float64) for t in tracks)])
    for name, wide in (("xy", 2), ("colour", 3)):
        found[name] = np.concatenate([np.zeros((0, wide)), *(getattr(t, name) for t in tracks)])
    found["confidence"] = np.array([t.confidence for t in tracks], np.float64)
    whole = float(np.sum(detections["area"]))
    mine = sum(float(t.area[t.seen].sum()) for t in tracks if t.confidence >= CONFIDENT)
    share = min(1.0, mine / whole) if whole else 1.0
    found["clip"] = np.append(np.asarray(detections["clip"], np.float64), [[share]], 1)
    return found


def scene_of(features: Features, times: Array) -> Scene:
    """The scene of stored tracks; `times` (n,) of all frames of the clip, in seconds."""
    count, height, width, camera, noise, every, moves, share = np.asarray(features["clip"], np.float64)[0]
    index = np.arange(int(count)) * int(every)
    number, tracks = np.asarray(features["track"]), []
    for i, confidence in enumerate(np.asarray(features["confidence"], np.float64)):
        rows = number == i
        flags = {n: np.asarray(features[n])[rows] > 0.5 for n in ("seen", "merged", "edge", "jumped")}
        lengths = {n: np.asarray(features[n], np.float64)[rows] for n in ("area", "width", "height")}
        tracks.append(
            Track(
                frames=np.asarray(features["frame"])[rows].astype(np.int64),
                xy=np.asarray(features["xy"], np.float64)[rows],
                colour=np.asarray(features["colour"], np.float64)[rows],
                confidence=float(confidence),
                **lengths,
                **flags,
            )
        )
    shown = np.asarray(times, np.float64)[np.minimum(index, max(0, len(times) - 1))]
    return Scene(
        tuple(tracks), shown, index, float(width), float(height), lost=int(camera) == 2,
        steadied=int(camera) == 1, moves=float(moves), noise=float(noise), explained=float(share),
    )  # fmt: skip
