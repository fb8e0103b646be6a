"""What a report shows of a video: a small copy, a poster, and stills of single frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from evals import video
from evals.records import Normalization
from evals.video import Frames

QUALITY = 82  # of JPEG
POSTER = 144  # pixels of its short side
LEAST = 16  # pixels: normalization knows no shorter side


def make(path: Path, limits: video.Limits, short_side: int, out: Path, stills: Mapping[str, int]) -> None:
    """Write `out` (.mp4): every frame at the video's own rate, at most `short_side` pixels on its short side.
    Beside it the middle frame under the same name (.jpg, smaller), and for every name in `stills` frame t
    next to frame t + 1. The copy appears last, so where it is, the others are."""
    found = video.probe(path, limits)
    try:
        _write(found, limits, short_side, out, stills, found.facts.frames)
    except video.FrameCountDiffers as error:
        if error.decoded == 0:
            raise
        _write(found, limits, short_side, out, stills, error.decoded)


def _write(
    found: video.Video,
    limits: video.Limits,
    short_side: int,
    out: Path,
    stills: Mapping[str, int],
    count: int,
) -> None:
    facts = found.facts
    side = min(short_side, facts.width, facts.height)
    small = Normalization(short_side=side if LEAST <= side < min(facts.width, facts.height) else None)
    kept: dict[int, Frames] = {}
    needed = {count // 2} | {t + i for t in stills.values() for i in (0, 1)}

    def frames() -> Iterator[Frames]:
        number = 0
        for chunk in video.decode(found, small, limits.chunk_bytes, count):
            for frame in chunk.new:
                if number in needed:
                    kept[number] = frame.copy()
                    if number + 1 == count:
                        kept[number + 1] = kept[number]  # the last frame has none after it
                number += 1
                yield frame
        _save(out.with_suffix(".jpg"), _poster(kept[count // 2]))
        for name, t in stills.items():
            if t in kept and t + 1 in kept:
                _save(out.with_name(name), np.concatenate([kept[t], kept[t + 1]], axis=1))

    video.encode(out, frames(), facts.fps, "preview")


def _poster(picture: Frames) -> Frames:
    """A picture for a grid: a page of thousands holds many of them at a time."""
    height, width = picture.shape[:2]
    scale = POSTER / min(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _save(path: Path, picture: Frames) -> None:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"{path.name}: cannot be written as JPEG")
    partial = path.with_name(f".{path.stem}.{os.getpid()}.jpg")
    partial.write_bytes(data.tobytes())
    partial.replace(path)
