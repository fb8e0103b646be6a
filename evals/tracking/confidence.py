"""How far a track can be believed: the least of what speaks for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evals.tracking.tracks import Track


def ramp(value: float, low: float, high: float) -> float:
    """0 at `low`, 1 at `high`, straight in between; `low` may be above `high`."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def confidence(track: Track) -> Track:
    """The track with its confidence in [0, 1]: long enough, seen most of the time, compact, of a steady area
    from frame to frame, of a visible size, and moving smoothly."""
    clear = track.clear
    if clear.sum() < 3:
        return replace(track, confidence=0.0)
    speaks = [
        ramp(float(clear.sum()), 4, 7),
        ramp(float(track.seen.sum()) / max(1, int((~track.merged).sum())), 0.35, 0.7),
        ramp(float(track.seen.mean()), 0.3, 0.5),
        ramp(_unsteady(track, 0.5), 0.30, 0.10),
        ramp(_unsteady(track, 0.8), 0.55, 0.3),
        ramp(_compact(track), 0.66, 0.76),
        ramp(track.size, 3.0, 5.0),
        ramp(_shaking(track), 2.2, 1.0),
    ]
    return replace(track, confidence=min(speaks))


def _unsteady(track: Track, share: float) -> float:
    """What a share of the changes of the area's logarithm from frame to frame stays under."""
    area = np.log(track.area[track.clear])
    return float(np.quantile(np.abs(np.diff(area)), share)) if len(area) > 1 else 1.0


def _compact(track: Track) -> float:
    """Area over that of the box around it, against an ellipse's π/4 and a turned square's half."""
    box = track.width[track.clear] * track.height[track.clear]
    return float(np.median(track.area[track.clear] / np.maximum(box, 1)) / 0.7)


def _shaking(track: Track) -> float:
    """The usual third difference of the place (0 under uniform acceleration), over the usual step and a tenth
    of the size."""
    rows = np.flatnonzero(track.clear)
    whole = [i for i in rows if i + 3 < len(track.frames) and track.clear[i : i + 4].all()]
    if not whole:
        return 0.0
    xy = track.xy
    third = [float(np.linalg.norm(xy[i + 3] - 3 * xy[i + 2] + 3 * xy[i + 1] - xy[i])) for i in whole]
    step = [float(np.linalg.norm(xy[i + 1] - xy[i])) for i in whole]
    return float(np.median(third) / (np.median(step) + 0.1 * track.size))
