"""Collisions: impulses are opposite and along the line of centres, and nothing is gained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evals.metrics.physics.checks import Check, Tested, Untestable, grade, worst
from evals.metrics.physics.paths import Array, Path, fitted, path_of
from evals.tracking import Scene

NEAR = 1.05  # times the sum of both radii, that their ways come near each other at least
MOST, LEAST = 6, 3  # observations before and after, of which velocities are made


@dataclass(frozen=True)
class Contact:
    """Two things meet: `before` and `after` are velocities (2, 2), of one and the other, `error` theirs;
    `line` (2,) points from one to the other."""

    before: Array
    after: Array
    error: float
    line: Array
    first: int
    last: int


def contact(a: Path, b: Path) -> Contact | None:
    """Where two paths come nearest, with at least three observations of both before and after it."""
    shared = np.intersect1d(a.rows, b.rows)
    if len(shared) < 2 * LEAST:
        return None
    ia, ib = np.searchsorted(a.rows, shared), np.searchsorted(b.rows, shared)
    apart = np.linalg.norm(a.xy[ia] - b.xy[ib], axis=1)
    nearest = int(apart.argmin())
    meets = shared[nearest]
    # While they are one region neither is seen by itself: the gap is part of the contact.
    gaps = np.flatnonzero(np.diff(shared) > 1)
    wide = [g for g in gaps if _merged_between(a, b, int(shared[g]), int(shared[g + 1]))]
    if wide:
        g = min(wide, key=lambda g: apart[g] + apart[g + 1])
        start, end = int(shared[g]), int(shared[g + 1])
    else:
        start, end = int(meets) - 1, int(meets) + 1
    velocities, errors = [], []
    for path in (a, b):
        early = np.flatnonzero(path.rows <= start)[-MOST:]
        late = np.flatnonzero(path.rows >= end)[:MOST]
        if len(early) < LEAST or len(late) < LEAST:
            return None
        fits = [fitted(path.t[rows], path.xy[rows], 1) for rows in (early, late)]
        velocities.append([fit.c[1] for fit in fits])
        errors.append(max(float(fit.error[1].max()) for fit in fits))
    found = np.array(velocities)
    reach = (a.size + b.size) / np.sqrt(np.pi)  # of two discs of these areas
    if _least_distance(a, b, start, found[:, 0]) > NEAR * reach + 1:
        return None  # a near miss
    places = [path.xy[int(np.abs(path.rows - start).argmin())] for path in (a, b)]
    line = (places[1] - places[0]) / max(float(np.linalg.norm(places[1] - places[0])), 1e-9)
    return Contact(found[:, 0], found[:, 1], max(errors), line, start, end)


def _least_distance(a: Path, b: Path, start: int, velocities: Array) -> float:
    """How near two things would come, had each gone on as before."""
    rows = [int(np.abs(path.rows - start).argmin()) for path in (a, b)]
    away = b.xy[rows[1]] - a.xy[rows[0]]
    speed = velocities[1] - velocities[0]
    ahead = max(0.0, -float(away @ speed) / max(float(speed @ speed), 1e-9))
    return float(np.linalg.norm(away + speed * ahead))


def _merged_between(a: Path, b: Path, start: int, end: int) -> bool:
    return any(
        bool(path.track.merged[(path.track.frames > start) & (path.track.frames < end)].any())
        for path in (a, b)
    )


def collision(scene: Scene) -> Tested:
    """Impulses are opposite, along the line of centres; two things never part faster than they met, and
    never pass through each other."""
    paths = [path for track in scene.confident if len((path := path_of(track, scene)).t) >= 6]
    checks: list[Check] = []
    for a, b in combinations(paths, 2):
        met = contact(a, b)
        if met is not None:
            checks += _best_naming(met, alike=_alike(a, b))
    return tuple(checks) or Untestable("no contact of two things is seen from before to after")


def _alike(a: Path, b: Path) -> bool:
    same = np.linalg.norm(a.track.tint - b.track.tint) < 40
    return bool(same and abs(np.log(a.size / b.size)) < np.log(1.25))


def _best_naming(met: Contact, alike: bool) -> list[Check]:
    """Two things that look alike can be taken for each other after they were one region: the better reading
    counts."""
    checks = _of(met)
    if not alike or not checks:
        return checks
    swapped = Contact(met.before, met.after[::-1], met.error, met.line, met.first, met.last)
    other = _of(swapped)
    return max((c for c in (checks, other) if c), key=lambda c: worst(c).score)


def _of(met: Contact) -> list[Check]:
    approach = float((met.before[0] - met.before[1]) @ met.line)
    part = float((met.after[1] - met.after[0]) @ met.line)
    impulses = met.after - met.before
    if approach < 4 * met.error or approach < 1e-9:
        return []
    ratio, slack = part / approach, 2 * met.error / approach
    said = f"they part at {max(0.0, ratio):.0%} of the speed at which they met"
    checks = [
        Check("never_faster", grade(ratio - slack, 1.1, 1.5), said, met.first, met.last),
        Check("no_passing", grade(-ratio - slack, 0.15, 0.5),
              "they pass through each other" if ratio < -0.15 else "they do not pass through each other",
              met.first, met.last),
    ]  # fmt: skip
    along = impulses @ met.line
    sideways = np.abs(impulses - along[:, None] * met.line[None]).max()
    size = float(np.abs(along).max())
    if size > 4 * met.error:
        # Both are pushed away from each other: one against the line from it to the other, one along it.
        pushed = min(-float(along[0]), float(along[1])) / size
        said = "both are pushed apart" if pushed > -slack else "both are pushed the same way"
        checks.append(Check("opposite", grade(-pushed - slack, 0.08, 0.3), said, met.first, met.last))
        aside = max(0.0, float(sideways) - 2 * met.error) / size
        said = f"{aside:.0%} of the push is across the line of centres"
        checks.append(Check("central", grade(aside, 0.7, 1.6), said, met.first, met.last))
    return checks
