"""What a report shows of a video: a small copy, a poster, and stills of single frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from evals import video
from evals.records import Normalization, VideoFacts
from evals.video import Codec, Frames

QUALITY = 82  # of JPEG
POSTER = 144  # pixels of its short side: a page of thousands holds many of them at a time
LEAST = 16  # pixels: normalization knows no shorter side
EVEN = 30.0
"""Frames per second of the copy of a video of variable rate: its times are kept, not its every frame."""


def shape(facts: VideoFacts) -> tuple[float, int]:
    """A copy's frame rate and number of frames: the video's own, or EVEN for one of variable rate."""
    if not facts.variable_rate:
        return facts.fps, facts.frames
    return EVEN, max(1, int(facts.duration * EVEN + 1e-6))


def make(
    path: Path, limits: video.Limits, short_side: int, out: Path, stills: Mapping[str, int],
    normalization: Normalization, codec: Codec = "preview", blur: float = 0.0,
) -> None:  # fmt: skip
    """Write `out` (.mp4), of `shape`, at most `short_side` pixels on its short side, blurred by `blur` (a
    share of that side). Beside it the middle frame under the same name (.jpg, smaller), and for every name in
    `stills` the frame t of those that the normalization keeps, next to the one after it. The copy appears
    last, so where it is, the others are."""
    found = video.probe(path, limits)
    try:
        _write(found, limits, short_side, out, stills, normalization, found.facts.frames, codec, blur)
    except video.FrameCountDiffers as error:
        if error.decoded == 0:
            raise
        _write(found, limits, short_side, out, stills, normalization, error.decoded, codec, blur)


def _write(
    found: video.Video, limits: video.Limits, short_side: int, out: Path, stills: Mapping[str, int],
    normalization: Normalization, count: int, codec: Codec, blur: float,
) -> None:  # fmt: skip
    facts = found.facts
    side = min(short_side, facts.width, facts.height)
    small = Normalization(short_side=side if LEAST <= side < min(facts.width, facts.height) else None)
    kept = video.select(found, normalization, count) if stills else []
    pairs = {name: (kept[t], kept[t + 1]) for name, t in stills.items() if t + 1 < len(kept)}
    needed = {count // 2} | {t for pair in pairs.values() for t in pair}
    fps, length = shape(facts)
    repeats = _repeats(found, fps, length, count) if facts.variable_rate else [1] * count
    pictures: dict[int, Frames] = {}

    def frames() -> Iterator[Frames]:
        number = 0
        for chunk in video.decode(found, small, limits.chunk_bytes, count):
            for frame in chunk.new:
                if number in needed:
                    pictures[number] = frame.copy()
                shown = _blurred(frame, blur) if blur else frame
                for _ in range(repeats[number]):
                    yield shown
                number += 1
        _save(out.with_suffix(".jpg"), video.shrunk(pictures[count // 2], POSTER))
        for name, (a, b) in pairs.items():
            _save(out.with_name(name), np.concatenate([pictures[a], pictures[b]], axis=1))

    video.encode(out, frames(), fps, codec)


def _blurred(frame: Frames, share: float) -> Frames:
    sigma = share * min(frame.shape[:2])
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8)


def _repeats(found: video.Video, fps: float, length: int, count: int) -> list[int]:
    """How often each frame of a video of variable rate stands in an even copy: what is shown at k/fps."""
    wanted = np.arange(length) / fps
    shown = np.searchsorted(np.asarray(found.times[:count]), wanted + 1e-4, side="right") - 1
    return [int(n) for n in np.bincount(np.clip(shown, 0, count - 1), minlength=count)]


def _save(path: Path, picture: Frames) -> None:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"{path.name}: cannot be written as JPEG")
    partial = path.with_name(f".{path.stem}.{os.getpid()}.jpg")
    partial.write_bytes(data.tobytes())
    partial.replace(path)
