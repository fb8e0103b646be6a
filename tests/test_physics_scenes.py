"""The physics metrics on films of the second renderer, through files and decoders: a few of every kind here;
all of them, held out, in `benchmarks/physics.py` (docs/physics.md)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from evals import metrics
from evals.errors import Reason
from evals.extractors import create
from evals.metrics.base import Clip, PromptFields, Skip, Value, VideoMetric
from evals.metrics.physics.evidence import evidence
from evals.metrics.physics.law import POINTS
from evals.records import Prompt
from evals.runs.features import Features
from evals.tracking.association import tracks_of
from evals.tracking.derivation import TRACKS
from evals.tracking.tracks import packed
from evals.video import Chunk
from tests.physics_scenes import LAW, made
from tests.test_extractors import in_chunks

Found = dict[str, Value | Skip]


NO_POINTS: Features = {"start": np.zeros(0)}
"""Things are told from each other here: points are not asked."""


@cache
def features_of(world: str, defect: str, seed: int) -> tuple[Features, int, float]:
    take = made(world, defect, seed, 3.6 if "pendulum" in world else 2.4)
    detections = extracted_all("moving", in_chunks(take.frames, [len(take.frames)], take.fps))
    return packed(tracks_of(detections), detections), len(take.frames), take.fps


def extracted_all(name: str, chunks: Sequence[Chunk]) -> Features:
    extractor = create(name)
    parts = [*(extractor.step(c) for c in chunks), extractor.finish()]
    return {n: np.concatenate([p[n] for p in parts if n in p]) for n in {n for p in parts for n in p}}


def video_metric(name: str) -> VideoMetric:
    made_metric = metrics.create(name)
    assert isinstance(made_metric, VideoMetric)
    return made_metric


def scored(metric_id: str, world: str, defect: str, seed: int, **prompt: object) -> Value | Skip:
    tracks, count, fps = features_of(world, defect, seed)
    metric = video_metric(metric_id)
    asked = Prompt.model_validate({"id": "x", "text": "x", "law": LAW[world], **prompt})
    clip = Clip(
        {TRACKS: tracks, POINTS: NO_POINTS}, PromptFields(asked, metric.reads), np.arange(count) / fps, fps
    )
    return metric.score(clip)


CLAIMS = [
    ("physics_law", "two bodies", "unequal gravity", 3),
    ("physics_law", "bounce", "energy gain", 4),
    ("physics_law", "projectile", "no gravity", 3),
    ("physics_law", "two pendulums", "wrong period", 5),
    ("physics_law", "collision", "momentum created", 3),
    ("physics_law", "collision", "pass through", 2),
    ("physics_permanence", "crossing", "vanish", 1),
    ("physics_permanence", "fall", "size drift", 2),
    ("physics_permanence", "inertia", "colour drift", 3),
    ("physics_continuity", "crossing", "teleport", 2),
]


@pytest.mark.parametrize(("metric", "world", "defect", "seed"), CLAIMS)
def test_a_defect_is_seen_and_a_clean_film_is_not_blamed(
    metric: str, world: str, defect: str, seed: int
) -> None:
    clean, bad = (scored(metric, world, what, seed) for what in ("clean", defect))
    assert isinstance(clean, Value) and clean.value >= 0.8, clean
    assert isinstance(bad, Value) and bad.value < 0.5, bad
    assert bad.notes and all("(frames " in note for note in bad.notes)


def test_gravity_is_that_of_the_scene() -> None:
    take = made("fall", "clean", 2)
    r, g = float(take.things[0].radius[0]), take.facts["acceleration"]
    metres = 2 * r * 9.81 / g  # the size with which this scene falls as on Earth
    ball = {"kind": "ball", "action": "fall", "metres": metres}
    found = scored("gravity", "fall", "clean", 2, subjects=[ball])
    assert isinstance(found, Value) and found.value == pytest.approx(9.81, rel=0.08)
    low, high = (float(v) for v in found.notes[0].split("interval ")[1].split(" m/s")[0].split(" to "))
    assert low < 9.81 < high and "frames are one second" in found.notes[1]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ({"law": "light"}, "the prompt names no law of falling"),
        ({"subjects": [{"kind": "ball", "action": "fall"}]}, "gives no real size"),
        ({"subjects": [{"kind": "ball", "metres": 0.2}, {"kind": "box", "metres": 0.5}]}, "not all the same"),
    ],
)
def test_gravity_is_never_from_guessed_sizes(prompt: dict[str, object], said: str) -> None:
    found = scored("gravity", "fall", "clean", 2, **prompt)
    assert isinstance(found, Skip) and said in found.message and found.reason is Reason.PROMPT_EXCLUDES


@pytest.mark.parametrize("metric", ["physics_law", "physics_permanence", "physics_continuity"])
def test_prompts_with_cuts_are_left_out(metric: str) -> None:
    found = scored(metric, "fall", "clean", 2, cuts=True)
    assert isinstance(found, Skip) and found.reason is Reason.PROMPT_EXCLUDES


@pytest.mark.parametrize("law", [None, "light"])
def test_laws_that_no_track_can_test_are_left_out(law: str | None) -> None:
    found = scored("physics_law", "fall", "clean", 2, law=law)
    assert isinstance(found, Skip) and found.reason is Reason.PROMPT_EXCLUDES


def test_evidence_names_the_moment() -> None:
    tracks, count, fps = features_of("crossing", "teleport", 2)
    prompt = Prompt(id="x", text="x", law="inertia")
    found = [e for e in evidence(prompt, tracks, None, np.arange(count) / fps) if e.kind == "jump"]
    xy = made("crossing", "teleport", 2).things[0].xy
    jump = int(np.linalg.norm(np.diff(xy, axis=0), axis=1).argmax())
    assert [(e.first, e.last) for e in found] == [(jump, jump + 1)] and "times its size away" in found[0].said
    clean, count, fps = features_of("crossing", "clean", 2)
    assert evidence(prompt, clean, None, np.arange(count) / fps) == []


def test_short_clips_are_judged_by_tracks_alone() -> None:
    take = made("crossing", "clean", 2)
    frames = take.frames[:12]
    detections = extracted_all("moving", in_chunks(frames, [12], take.fps))
    points = extracted_all("dis-points", in_chunks(frames, [12], take.fps))
    assert not len(points["start"])
    metric = video_metric("physics_permanence")
    asked = Prompt(id="x", text="x")
    clip = Clip(
        {TRACKS: packed(tracks_of(detections), detections), POINTS: points},
        PromptFields(asked, metric.reads), np.arange(12) / take.fps, take.fps,
    )  # fmt: skip
    found = metric.score(clip)
    assert isinstance(found, Value) and found.value == 1.0


def test_real_clips_give_a_number_or_a_reason(assets: Path) -> None:
    from evals import video
    from evals.records import Normalization

    path = assets / "ucf" / "05.mp4"
    limits = video.Limits()
    seen = video.probe(path, limits)
    chunks = list(video.decode(seen, Normalization(), limits.chunk_bytes, seen.facts.frames, []))
    detections, points = extracted_all("moving", chunks), extracted_all("dis-points", chunks)
    tracks = packed(tracks_of(detections), detections)
    for name in ("physics_permanence", "physics_continuity"):
        metric = video_metric(name)
        fields = PromptFields(Prompt(id="x", text="x"), metric.reads)
        found = metric.score(Clip({TRACKS: tracks, POINTS: points}, fields, np.arange(16) / 8, 8))
        assert (isinstance(found, Skip) and found.message) or (
            isinstance(found, Value) and 0 <= found.value <= 1
        )
