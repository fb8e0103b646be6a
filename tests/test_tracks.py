"""Detections and tracks: known scenes, contact, cover, rest, a camera that moves; and what must not
matter."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import DoesNotApply
from evals.extractors import create
from evals.extractors.camera import Camera, steadied
from evals.extractors.moving import detect
from evals.metrics.physics.permanence import of_points
from evals.runs.features import Features
from evals.tracking import Scene, scene_of
from evals.tracking.association import tracks_of
from evals.tracking.tracks import packed
from evals.video import Chunk, Frames
from tests.conftest import examples


def texture(width: int, height: int, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    small = rng.integers(120, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def scene_with(
    places: Sequence[Sequence[tuple[float, float]]], radius: float = 9.0, size: tuple[int, int] = (160, 120),
    front: tuple[int, int, int, int] | None = None,
) -> Frames:  # fmt: skip
    """Discs of different colours over a texture, one list of places each; `front` is a box
    that hides what is behind it."""
    colours = [(200, 40, 40), (30, 60, 190), (30, 150, 60)]
    behind = texture(*size)
    found = []
    for k in range(len(places[0])):
        frame = cv2.resize(behind, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
        for colour, way in zip(colours, places, strict=False):
            centre = (round((way[k][0] + 0.5) * 4 * 16), round((way[k][1] + 0.5) * 4 * 16))
            cv2.circle(frame, centre, round(radius * 4 * 16), colour, -1, cv2.LINE_AA, 4)
        if front is not None:
            left, top, right, bottom = (4 * v for v in front)
            frame[top:bottom, left:right] = (90, 90, 95)
        found.append(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    return np.stack(found).astype(np.uint8)


def scene(frames: Frames) -> Scene:
    detections = detect(frames)
    return scene_of(packed(tracks_of(detections), detections), np.arange(len(frames)) / 12)


LINE = [(15 + 5.0 * k, 40 + 2.0 * k) for k in range(24)]


def test_a_disc_is_followed_to_a_fraction_of_a_pixel() -> None:
    found = scene(scene_with([list(LINE)]))
    (track,) = found.known
    assert track.confidence == 1.0 and found.plain and not found.lost
    assert np.abs(track.xy - np.array(LINE)[track.frames]).max() < 0.6
    assert np.sqrt(4 * np.median(track.area) / np.pi) == pytest.approx(18, abs=1.2)
    assert np.abs(track.tint - [200, 40, 40]).max() < 12


def test_what_rests_for_most_of_the_clip_is_no_part_of_the_background() -> None:
    way = [(20.0 + 12 * min(k, 6), 60.0) for k in range(24)]  # rests from the seventh frame on
    (track,) = scene(scene_with([way])).known
    assert len(track.frames) == 24 and np.abs(track.xy - way).max() < 0.8


def test_two_that_touch_and_part_keep_their_numbers() -> None:
    left = [(20.0 + 4 * k if k < 12 else 64.0 - 3 * (k - 12), 60.0) for k in range(24)]
    right = [(130.0 - 4 * k if k < 12 else 86.0 + 4 * (k - 12), 60.0) for k in range(24)]
    tracks = scene(scene_with([left, right])).known
    assert len(tracks) == 2
    for track, way in zip(sorted(tracks, key=lambda t: float(t.xy[0, 0])), (left, right), strict=True):
        assert track.frames[0] == 0 and track.frames[-1] == 23
        assert np.abs(track.xy[track.clear] - np.array(way)[track.frames[track.clear]]).max() < 1.2


def test_what_goes_behind_something_comes_back_as_the_same_thing() -> None:
    way = [(12.0 + 6 * k, 60.0) for k in range(24)]
    (track,) = scene(scene_with([way], front=(60, 20, 100, 100))).known
    hidden = ~track.seen
    assert track.frames[0] == 0 and track.frames[-1] >= 22 and 3 <= hidden.sum() <= 10
    assert np.abs(track.xy[hidden] - np.array(way)[track.frames[hidden]]).max() < 4


def test_a_thing_that_is_elsewhere_at_once_is_one_thing_that_jumped() -> None:
    way = [(20.0 + 3 * k + (60 if k >= 12 else 0), 40.0) for k in range(24)]
    (track,) = scene(scene_with([way])).known
    assert track.frames[track.jumped].tolist() == [12]


def test_a_camera_that_pans_is_brought_to_rest() -> None:
    wide = scene_with([[(40 + 5.0 * k, 60.0) for k in range(24)]], size=(240, 120))
    panned = np.stack([frame[:, 2 * k : 2 * k + 160] for k, frame in enumerate(wide)])
    steady = steadied(panned)
    assert steady.camera is Camera.STEADIED
    assert steady.matrices[0, 0, 2] - steady.matrices[-1, 0, 2] == pytest.approx(-46, abs=1)
    track = scene(panned).confident[0]
    assert np.diff(track.xy[track.clear, 0]) == pytest.approx(5.0, abs=0.6)
    assert steadied(wide[:, :, :160]).camera is Camera.STILL


def test_a_camera_whose_motion_is_unknown_gives_no_tracks() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 96, 128, 3), dtype=np.uint8)
    assert scene(noise).lost and not scene(noise).tracks


def test_a_still_clip_has_no_tracks_and_is_not_lost() -> None:
    still = np.repeat(texture(160, 120)[None], 12, 0)
    assert not scene(still).lost and scene(still).tracks == () and not scene(still).plain


def test_tracks_are_the_same_after_they_were_stored() -> None:
    detections = detect(scene_with([list(LINE)]))
    tracks = tracks_of(detections)
    back = scene_of(packed(tracks, detections), np.arange(24) / 12)
    for one, other in zip(tracks, back.tracks, strict=True):
        assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in vars(one))
    assert back.explained == pytest.approx(1.0)


def run(name: str, frames: Frames, cuts: list[int]) -> Features:
    extractor, parts, start = create(name), [], 0
    for end in [*cuts, len(frames)]:
        lead = min(1, start)
        parts.append(extractor.step(Chunk(frames[start - lead : end], start, lead, 12.0)))
        start = end
    parts.append(extractor.finish())
    return {n: np.concatenate([p[n] for p in parts if n in p]) for n in {n for p in parts for n in p}}


@examples(6)
@given(st.sets(st.integers(1, 19), max_size=4))
@pytest.mark.parametrize("name", ["moving", "dis-points", "lk-points"])
def test_where_chunks_are_cut_does_not_matter(name: str, cuts: set[int]) -> None:
    frames = scene_with([list(LINE)], size=(96, 72))[:20]
    whole, cut = run(name, frames, []), run(name, frames, sorted(cuts))
    assert all(np.array_equal(whole[n], cut[n]) for n in whole)


def test_moving_takes_five_frames() -> None:
    with pytest.raises(DoesNotApply, match="4 frames; telling what moves takes 5"):
        run("moving", scene_with([list(LINE)])[:4], [])


@pytest.mark.parametrize("name", ["dis-points", "lk-points"])
def test_points_follow_a_shift(name: str) -> None:
    wide = texture(200, 96, 3)
    frames = np.stack([wide[:, 2 * k : 2 * k + 128] for k in range(16)])  # everything moves left by 2 pixels
    found = run(name, frames, [])
    step = np.diff(found["xy"][0], axis=0)
    kept = found["kept"][0, 1:] > 0
    assert found["start"].tolist() == [0] and kept[5].mean() > 0.7
    # Pixels at a short side of 256.
    assert np.median(step[kept], axis=0) == pytest.approx([-2 * 256 / 96, 0], abs=0.3)
    assert not step[~kept].any()  # what is lost stays where it was


@pytest.mark.parametrize(
    ("frames", "starts"), [(15, []), (16, [0]), (19, [0]), (20, [0, 4]), (40, [0, 16, 24])]
)
def test_windows_of_points_cover_the_clip(frames: int, starts: list[int]) -> None:
    still = np.repeat(texture(64, 56)[None], frames, 0)
    found = run("dis-points", still, [])
    assert found["start"].tolist() == starts and found["xy"].shape == (len(starts), 16, 400, 2)


def test_points_say_whether_there_is_something_to_follow() -> None:
    flat = np.full((16, 64, 96, 3), 90, np.uint8)
    assert run("dis-points", flat, [])["texture"].tolist() == [0.0]
    still = np.repeat(texture(96, 64)[None], 16, 0)
    assert run("dis-points", still, [])["texture"][0] > 0.9
    assert not len(run("dis-points", still[:, :40], [])["start"])  # too small to follow points in


def test_permanence_says_nothing_of_noise_and_of_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 64, 96, 3), dtype=np.uint8)
    for frames in (noise, np.full((16, 64, 96, 3), 90, np.uint8)):
        assert of_points(run("dis-points", frames, [])) == ()
    still = np.repeat(texture(96, 64)[None], 16, 0)
    (check,) = of_points(run("dis-points", still, []))
    assert check.score == 1.0
