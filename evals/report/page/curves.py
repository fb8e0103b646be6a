"""Curves over the frames of a video, and the frames that stand out, from the stored features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.compare import Comparison, RunScores
from evals.errors import RunError
from evals.metrics.needs import Needs, VideoAndText, recorded_specs
from evals.metrics.physics.evidence import evidence
from evals.metrics.physics.law import POINTS
from evals.metrics.temporal import FrozenFrames, SceneCuts, cuts
from evals.records import Need, Normalization, Prompt, Spec
from evals.runs.current import SampleId
from evals.runs.features import Features
from evals.runs.keys import facts_key
from evals.tracking.derivation import TRACKS

Array = NDArray[np.float64]
MOST = 3  # flags of one kind that a video shows
BURST, FLOOR = 3.0, 5e-4
"""A flicker burst: 2 or more pairs of frames in a row, no cut among them, whose warping error is above
BURST times the video's median and above FLOOR. It marks 18 of the 24 flickering videos of the demo and 1
of the 24 clean ones, and 4 of 18 real clips of FETV (fast motion and film grain look alike to it): for
looking, no metric."""


FLAGS = {
    "freeze": "two or more pairs of frames in a row in which nothing moves",
    "cut": "the content changes at once, as between two scenes",
    "flicker burst": "frames that do not follow from those before, by three times what is usual in the video",
    "law broken": "motion against the law that the prompt names",
    "thing lost": "a thing vanishes, appears, or changes its size or colour without cause",
    "jump": "motion that is not continuous",
}
VIOLATIONS = ("law broken", "thing lost", "jump")
"""What a flag means: a hint where to look."""


@dataclass(frozen=True)
class Flag:
    """A stretch of frames that stands out: `kind`, its first and last frame of those that were scored, and
    what was found there in words, where there is more to say than the kind."""

    kind: str
    first: int
    last: int
    said: str = ""

    @property
    def moment(self) -> int:
        """The frame to look at: where it begins, of a violation its middle."""
        return (self.first + self.last) // 2 if self.kind in VIOLATIONS else self.first


@dataclass(frozen=True)
class Curve:
    """A curve: a value per frame, or per frame and the one before it (`between`)."""

    name: str
    title: str
    need: Need
    array: str
    between: bool = True
    flags: Callable[[Features], list[Flag]] | None = None


def _stretches(marked: Sequence[bool] | NDArray[np.bool_], kind: str, least: int = 1) -> list[Flag]:
    """Runs of at least `least` marked pairs; pair t is of the frames t and t + 1."""
    found, start = [], None
    for t, one in enumerate([*marked, False]):
        if one and start is None:
            start = t
        elif not one and start is not None:
            if t - start >= least:
                found.append(Flag(kind, start, t))
            start = None
    return found


def _freezes(features: Features) -> list[Flag]:
    return _stretches(features["block_max"] < FrozenFrames.THRESHOLD, "freeze", 2)


def _cuts(features: Features) -> list[Flag]:
    content = np.asarray(features["hsv"], np.float64)
    found = cuts(content, SceneCuts.RATIO, SceneCuts.LEAST, SceneCuts.WIDTH)
    return [Flag("cut", t, t + 1) for t in found]


def _bursts(features: Features) -> list[Flag]:
    errors = np.asarray(features["warp_error"], np.float64)
    known = errors[errors >= 0]  # −1: no pixel of the pair is visible in both
    if not len(known):
        return []
    return _stretches((errors > FLOOR) & (errors > BURST * np.median(known)), "flicker burst", 2)


CURVES = (
    Curve(
        "change", "change between frames (8-bit levels)", Need("frames", "difference"), "mean", True, _freezes
    ),
    Curve("flow", "motion (pixels)", Need("frames", "dis"), "magnitude"),
    Curve("warp", "warping error", Need("frames", "dis"), "warp_error", True, _bursts),
    Curve("ssim", "SSIM to the frame before", Need("frames", "ssim"), "ssim"),
    Curve("content", "content change", Need("frames", "content"), "hsv", True, _cuts),
    Curve(
        "sharpness", "sharpness (variance of the Laplacian)", Need("frames", "laplacian"), "variance", False
    ),
)


@dataclass(frozen=True)
class Found:
    """The curves of a video by name, its flags, and the `times` at which the frames that were scored are
    shown, in seconds; `fps` where these are even."""

    fps: float
    curves: Mapping[str, Array]
    flags: tuple[Flag, ...]
    times: Array

    @property
    def even(self) -> bool:
        """Whether frame k is shown at k/fps."""
        return bool(np.allclose(self.times, np.arange(len(self.times)) / self.fps, atol=2e-3))

    def at(self, frame: int) -> float:
        """When a frame is shown."""
        return float(self.times[min(frame, len(self.times) - 1)])


def of_samples(comparison: Comparison, wanted: Sequence[SampleId]) -> dict[tuple[str, SampleId], Found]:
    """The curves of all videos of these samples whose features are stored, by run and sample."""
    found: dict[tuple[str, SampleId], Found] = {}
    for run in comparison.sources:
        if run.folder is not None:
            found |= {(run.label, at): one for at, one in _of_run(run, wanted)}
    return found


def _of_run(run: RunScores, wanted: Sequence[SampleId]) -> Iterator[tuple[SampleId, Found]]:
    assert run.folder is not None
    specs: dict[Need, Spec] = {}
    for info in run.metrics.values():
        specs |= recorded_specs(info)
    normalization = Normalization.parse(run.normalization)
    needs = Needs(specs, normalization)
    mine = [curve for curve in CURVES if curve.need in specs]
    physics = [need for need in (TRACKS, POINTS) if need in specs]
    keys: dict[tuple[Need, str], str] = {}
    samples = {at: run.videos[at] for at in wanted if at in run.videos}
    for sample in samples.values():
        for need in dict.fromkeys((*(curve.need for curve in mine), *physics)):
            if sample.sha256:
                keys[need, sample.sha256] = needs.key(need, VideoAndText(sample.sha256))
    facts = {sha: facts_key(sha, normalization) for _, sha in keys}
    try:
        stored = dict(run.folder.stored.read([*keys.values(), *facts.values()]))
    except RunError:
        return  # a damaged shard costs the curves of its run; scores are there
    for at, sample in samples.items():
        curves, flags = {}, []
        for curve in mine:
            features = stored.get(keys.get((curve.need, sample.sha256 or ""), ""))
            if features is not None and len(features.get(curve.array, ())):
                values = np.asarray(features[curve.array], np.float64)
                curves[curve.name] = np.where(values < 0, np.nan, values) if curve.name == "warp" else values
                flags += curve.flags(features)[:MOST] if curve.flags else []
        tracks, points = (stored.get(keys.get((need, sample.sha256 or ""), "")) for need in (TRACKS, POINTS))
        if (curves or tracks is not None) and sample.actual is not None:
            fps = normalization.fps or sample.actual.fps
            shown = stored.get(facts.get(sample.sha256 or "", ""), {}).get("times")
            longest = max([sample.actual.frames - 1, *(len(values) for values in curves.values())]) + 1
            times = np.arange(longest) / fps if shown is None else np.asarray(shown, np.float64)
            if tracks is not None:
                flags += _violations(run.prompts[at[0]], tracks, points, times)
            yield at, Found(fps, curves, tuple(_tidied(flags)), times)


def _violations(prompt: Prompt, tracks: Features, points: Features | None, times: Array) -> list[Flag]:
    """Where the physics metrics found something, a few of each kind."""
    flags: list[Flag] = []
    for one in sorted(evidence(prompt, tracks, points, times), key=lambda e: e.score):
        if sum(f.kind == one.kind for f in flags) < MOST:
            flags.append(Flag(one.kind, one.first, max(one.last, one.first), one.said))
    return flags


def _tidied(flags: Sequence[Flag]) -> list[Flag]:
    """Without bursts that a cut explains, in order of time."""
    cut = {f.first for f in flags if f.kind == "cut"}
    kept = [f for f in flags if f.kind != "flicker burst" or not cut & set(range(f.first, f.last))]
    return sorted(kept, key=lambda f: (f.first, f.kind))
