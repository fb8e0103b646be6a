"""`physics_law`, `gravity`, `physics_permanence` and `physics_continuity`: metrics of tracks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evals.errors import Reason
from evals.metrics.base import About, Clip, Skip, Value, VideoMetric
from evals.metrics.physics import continuity, permanence
from evals.metrics.physics.checks import Check, Untestable, lowest, of_clip, worst
from evals.metrics.physics.laws import LAWS, PLANAR, test_law
from evals.metrics.physics.laws.falling import flights
from evals.metrics.physics.paths import path_of
from evals.metrics.temporal import CUT_ASKED
from evals.records import Need, Spec
from evals.runs.features import Features
from evals.tracking import FEW, Scene, Track, scene_of
from evals.tracking.derivation import TRACKS

POINTS = Need("frames", "dis-points")
UNEARTHLY = Skip("the prompt asks for another outcome than the ordinary one", Reason.PROMPT_EXCLUDES)
NO_LAW = Skip("the prompt names no law", Reason.PROMPT_EXCLUDES)


def _excluded(clip: Clip) -> Skip | None:
    """Why a prompt asks for something that no law can be tested on."""
    return CUT_ASKED if clip.prompt.cuts else UNEARTHLY if clip.prompt.counterfactual else None


def scene(clip: Clip) -> Scene:
    """The tracks of a clip."""
    return scene_of(clip[TRACKS], clip.times)


def noted(checks: tuple[Check, ...]) -> Value:
    """The worst check's score; the notes name every check below 1, each with its frames."""
    each = lowest(checks)
    below = [c for c in each if c.score < 1]
    notes = tuple(f"{c.name} {c.score:.2f}: {c.said} (frames {c.first}-{c.last})" for c in below)
    return Value(worst(each).score, notes)


class PhysicsLaw(VideoMetric):
    """How well the motion of things obeys the law that the prompt names, in [0, 1]: the worst of the law's
    sub-scores (docs/physics.md). Tests take no metres. Does not apply to prompts without a law that tracks
    can test, nor to counterfactual ones; skipped where no track can be believed."""

    spec = Spec(name="physics_law", version=1)
    about = About(
        "higher", 0.0, 1.0, temporal=True, source="this project; two bodies: arXiv 2512.02016",
        note="only clips on which the law can be tested: read the share of them beside it",
        aspect="physics",
    )  # fmt: skip
    needs = (TRACKS,)
    reads = ("law", "cuts", "subjects", "counterfactual")

    def score(self, clip: Clip) -> Value | Skip:
        if excluded := _excluded(clip):
            return excluded
        law = clip.prompt.law
        if law is None:
            return NO_LAW
        if law not in LAWS:
            return Skip(f"no track can test the law of {law}", Reason.PROMPT_EXCLUDES)
        found = scene(clip)
        tested = test_law(law, found, clip.prompt.subjects)
        if isinstance(tested, Untestable):
            return Skip(tested.message, tested.reason)
        return noted(of_clip(tested, found.index))


class Gravity(VideoMetric):
    """The gravity of a clip in m/s²: the downward acceleration of a falling thing whose real size the prompt
    gives (`metres`), on the assumption that the video plays in real time. The notes give a 95 % interval,
    from the fit and from the size. Applies to prompts of the laws gravity, projectile and restitution
    that are not counterfactual."""

    spec = Spec(name="gravity", version=1)
    about = About(
        "none", None, None, unit="m/s²", temporal=True,
        source="y = y₀ + vt + gt²/2 on tracks, scaled by a known size",
        note="real is 9.81; assumes that the video plays in real time and that things move across the view",
        aspect="physics", role="diagnostic",
    )  # fmt: skip
    needs = (TRACKS,)
    reads = ("law", "subjects", "cuts", "counterfactual")

    def score(self, clip: Clip) -> Value | Skip:
        if excluded := _excluded(clip):
            return excluded
        if clip.prompt.law not in ("gravity", "projectile", "restitution"):
            return Skip("the prompt names no law of falling", Reason.PROMPT_EXCLUDES)
        sized = [s for s in clip.prompt.subjects if s.metres is not None and s.action not in ("stand", "lie")]
        if not sized:
            return Skip("the prompt gives no real size (`metres`) of what falls", Reason.PROMPT_EXCLUDES)
        found = scene(clip)
        if found.uneven:
            return Skip("the frames are shown at uneven times", Reason.NO_TRACK)
        if not found.plain:
            return Skip("nothing is seen to fall by a track that can be believed", Reason.NO_TRACK)
        if len({s.metres for s in sized}) > 1 or (
            len(sized) < len(clip.prompt.subjects) and len(found.confident) > 1
        ):
            return Skip("several things fall, and their sizes are not all the same", Reason.PROMPT_EXCLUDES)
        metres = float(sized[0].metres or 0.0)
        estimates = [e for track in found.confident for e in _gravities(track, found, metres)]
        if not estimates:
            return Skip("nothing is seen to fall by a track that can be believed", Reason.NO_TRACK)
        values, errors, unsure = np.array(estimates).T
        weights = 1 / errors**2
        value = float((values * weights).sum() / weights.sum())
        spread = float(np.sqrt(1 / weights.sum()))
        if len(values) > 1:  # flights that disagree widen the interval
            spread *= max(1.0, float(np.sqrt((((values - value) / errors) ** 2).sum() / (len(values) - 1))))
        spread = float(np.hypot(spread, abs(value) * unsure.min()))  # how large it looks is one error for all
        half = float(scipy.stats.t.ppf(0.975, max(2, 4 * len(values)))) * spread
        interval = f"95 % interval {value - half:.2f} to {value + half:.2f} m/s²"
        return Value(value, (interval, f"assumes that {clip.fps:.4g} frames are one second"))


def _extent(track: Track) -> NDArray[np.float64]:
    """Pixels across a thing, by frame: the diameter of what is round, else the largest extent."""
    area, width, height = (v[track.clear] for v in (track.area, track.width, track.height))
    round_ = abs(np.log(np.median(width / height))) < 0.12 and np.median(area / (width * height)) < 0.86
    return np.asarray(np.sqrt(4 * area / np.pi) if round_ else np.maximum(width, height) - 1, np.float64)


def _gravities(track: Track, found: Scene, metres: float) -> list[tuple[float, float, float]]:
    """Gravity, the standard error of its fit, and the relative error of the size, of every flight of a
    track."""
    sides = _extent(track)
    across = float(np.median(sides))
    unsure = max(0.7 / across, float(np.std(sides)) / across / np.sqrt(len(sides)))  # outlines are a bit off
    made = []
    for flight in flights(path_of(track, found)):
        if flight.error < 0.3 * abs(flight.down):
            scale = metres / across
            made.append((flight.down * scale, flight.error * scale, unsure))
    return made


def _of_things(
    clip: Clip,
    of_tracks: Callable[[Scene], tuple[Check, ...]],
    of_points: Callable[[Features], tuple[Check, ...]],
) -> Value | Skip:
    found = scene(clip)
    few = sum(s.count for s in clip.prompt.subjects) <= FEW
    checks = of_clip(of_tracks(found), found.index) if found.plain and few else ()
    if not checks and len(clip[POINTS]["start"]):
        checks = of_points(clip[POINTS])
    if not checks:
        return Skip("neither things nor points can be followed", Reason.NO_TRACK)
    return noted(checks)


class PhysicsPermanence(VideoMetric):
    """Whether things last, in [0, 1]: they don't vanish, appear, or change colour without cause, nor size
    where the prompt names a law; the worst of the sub-scores. On object tracks where a few things can be told
    from each other; elsewhere on point tracks, which only notice that much of the picture is lost at once.
    Does not apply to prompts annotated `cuts: true` or `counterfactual: true`."""

    spec = Spec(name="physics_permanence", version=1)
    about = About(
        "higher", 0.0, 1.0, rewarded_by=("stillness",), source="this project",
        note="on point tracks a small thing that vanishes is not noticed", aspect="physics",
    )  # fmt: skip
    needs = (TRACKS, POINTS)
    reads = ("law", "cuts", "subjects", "counterfactual")

    def score(self, clip: Clip) -> Value | Skip:
        if excluded := _excluded(clip):
            return excluded
        return _of_things(
            clip, lambda s: permanence.of_tracks(s, clip.prompt.law in PLANAR), permanence.of_points
        )


class PhysicsContinuity(VideoMetric):
    """Whether things move without jumps, in [0, 1]: no teleports, no impossible jerk; the worst of the
    sub-scores. On object tracks where a few things can be told from each other, elsewhere on point tracks.
    Does not apply to prompts annotated `cuts: true` or `counterfactual: true`."""

    spec = Spec(name="physics_continuity", version=1)
    about = About(
        "higher", 0.0, 1.0, temporal=True, rewarded_by=("stillness", "blur"), source="this project",
        note="on point tracks a small thing that jumps is not noticed", aspect="physics",
    )  # fmt: skip
    needs = (TRACKS, POINTS)
    reads = ("cuts", "subjects", "counterfactual")

    def score(self, clip: Clip) -> Value | Skip:
        if excluded := _excluded(clip):
            return excluded
        return _of_things(clip, continuity.of_tracks, continuity.of_points)
