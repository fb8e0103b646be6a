"""Reading videos: select and decode frames, in order.

A decoder that gives another number of frames than were counted raises `FrameCountDiffers`, so that nothing
sampled by index can shift unnoticed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import av.logging
import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from evals.errors import DoesNotApply, Reason, VideoError
from evals.records import Normalization, VideoFacts
from evals.video import animated
from evals.video.display import Converter
from evals.video.probing import Limits, Video, opened, probe, readable, stream_of

Frames = NDArray[np.uint8]


class FrameCountDiffers(VideoError):
    """The decoder gave another number of frames than the container announced."""

    def __init__(self, announced: int, decoded: int) -> None:
        super().__init__(f"the container announces {announced} frames, {decoded} can be decoded")
        self.announced, self.decoded = announced, decoded


@dataclass
class Chunk:
    """Consecutive frames (n, H, W, 3), uint8 RGB; the first `lead` of them were in the chunk before. The
    video has `total` frames.

    What several extractors need is computed once: `grey`, and what they keep in `memo`.
    """

    frames: Frames
    start: int
    lead: int
    fps: float
    memo: dict[Any, Any] = field(default_factory=dict)
    total: int = 0

    @property
    def new(self) -> Frames:
        """The frames that no earlier chunk held."""
        return self.frames[self.lead :]

    @cached_property
    def grey(self) -> Frames:
        """(n, H, W) uint8 luma (BT.601 weights)."""
        return np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in self.frames])


def select(video: Video, normalization: Normalization, count: int | None = None) -> list[int]:
    """Indices of the frames that a normalization keeps, in order; an index may repeat.

    Raises `DoesNotApply` where the video is too short or too slow for it.
    """
    count = video.facts.frames if count is None else count
    times, rate = video.times[:count], video.facts.fps
    if normalization.seconds is not None and video.facts.duration < normalization.seconds - 0.5 / rate:
        raise DoesNotApply(
            f"lasts {video.facts.duration:.3g} s, the normalization asks for {normalization.seconds:g} s",
            Reason.TOO_SHORT,
        )
    if normalization.fps is None:
        if normalization.seconds is None:
            return list(range(count))
        return [i for i, t in enumerate(times) if t < normalization.seconds - 1e-6]
    if normalization.fps > rate * 1.01:
        raise DoesNotApply(
            f"has {rate:g} fps; normalizing to {normalization.fps:g} fps would repeat frames and look frozen",
            Reason.FRAME_RATE_TOO_LOW,
        )
    length = min(normalization.seconds or video.facts.duration, video.facts.duration)
    wanted = np.arange(max(1, int(length * normalization.fps + 1e-6))) / normalization.fps
    found = np.searchsorted(np.asarray(times), wanted + 1e-4, side="right") - 1
    return [int(i) for i in np.clip(found, 0, count - 1)]


class _Pictures:
    """Decoded frames to pictures as shown, of one size."""

    def __init__(self, video: Video, short_side: int | None) -> None:
        self.video, self.short_side = video, short_side
        self.convert = Converter(video.display)
        self.shape: tuple[int, int] | None = None

    def __call__(self, frame: VideoFrame | Frames) -> Frames:
        height, width = frame.shape[:2] if isinstance(frame, np.ndarray) else (frame.height, frame.width)
        if isinstance(frame, VideoFrame):
            self._check(frame)
        if self.shape is None:
            self.shape = (width, height)
        if self.shape != (width, height):
            raise VideoError(
                f"changes its size from {self.shape[0]}×{self.shape[1]} to {width}×{height}",
                Reason.SIZE_CHANGES,
            )
        rgb = self.convert(frame)
        return _resize(rgb, self.short_side) if self.short_side else rgb

    def _check(self, frame: VideoFrame) -> None:
        if frame.is_corrupt:
            raise VideoError("a frame is damaged", Reason.DAMAGED_FRAME)
        if frame.interlaced_frame and not self.video.display.fields:
            raise VideoError("begins with whole frames and goes on interlaced", Reason.UNSUPPORTED_DISPLAY)


def _resize(image: Frames, short_side: int) -> Frames:
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale == 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )


def decode(
    video: Video,
    normalization: Normalization | None = None,
    chunk_bytes: int = Limits.chunk_bytes,
    count: int | None = None,
    notes: list[str] | None = None,
) -> Iterator[Chunk]:
    """Decode once, in order, in chunks bounded in bytes; each but the first leads with one old frame.

    `count` is the number of frames to expect (default: what `probe` counted). Raises
    `FrameCountDiffers` after the last chunk where the decoder gives another number, `VideoError`
    for damaged data, `DoesNotApply` where the normalization asks for more than there is.
    """
    normalization = normalization or Normalization()
    expected = video.facts.frames if count is None else count
    wanted = select(video, normalization, expected)
    picture = _Pictures(video, normalization.short_side)
    fps = normalization.fps or video.facts.fps
    pending: list[Frames] = []
    lead: Frames | None = None
    start = position = decoded = 0
    with readable(video.path), _said() as said, closing(_decoded(video)) as frames:
        for frame in frames:
            index, decoded = decoded, decoded + 1
            if position >= len(wanted) or wanted[position] != index:
                continue
            image = picture(frame)
            while position < len(wanted) and wanted[position] == index:
                pending.append(image)
                position += 1
                if (len(pending) + 2) * image.nbytes > chunk_bytes:  # the lead frame counts
                    yield _chunk(pending, lead, start, fps, len(wanted))
                    lead, start, pending = pending[-1], start + len(pending), []
    if decoded != expected:
        if video.declared and video.declared - decoded > 1:
            raise VideoError(
                f"truncated: the container announces {video.declared} frames, {decoded} can be decoded",
                Reason.TRUNCATED,
            )
        raise FrameCountDiffers(expected, decoded)
    if pending:
        yield _chunk(pending, lead, start, fps, len(wanted))
    if notes is not None and (errors := [m for level, _, m in said if level <= av.logging.ERROR]):
        notes.append(f"the decoder reports {len(errors)} errors, such as: {errors[0].strip():.100}")
    if picture.convert.composited and notes is not None:
        notes.append("transparent pixels shown over black")


@contextmanager
def _said() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg says meanwhile, from errors on: many decoders go on after one."""
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as said:
            yield said
    finally:
        av.logging.set_level(av.logging.PANIC)


def _decoded(video: Video) -> Generator[VideoFrame | Frames]:
    """Frames as they come from the decoder, in the order in which they are shown."""
    if video.webp:
        yield from animated.webp_frames(video.path, video.facts.frames)
        return
    with opened(video.path) as container:
        stream = stream_of(container)
        yield from video.display.frames(stream, container.decode(stream))


def _chunk(pending: list[Frames], lead: Frames | None, start: int, fps: float, total: int) -> Chunk:
    frames = np.stack(pending if lead is None else [lead, *pending])
    return Chunk(frames, start, 0 if lead is None else 1, fps, total=total)


def read(path: Path, normalization: Normalization | None = None) -> tuple[Frames, VideoFacts]:
    """All frames (n, H, W, 3) of a short video and its facts; for tests and notebooks."""
    video = probe(path)
    count: int | None = None
    while True:
        try:
            chunks = list(decode(video, normalization, count=count))
            return np.concatenate([c.new for c in chunks]), video.facts
        except FrameCountDiffers as error:
            if count is not None or error.decoded == 0:
                raise
            count = error.decoded
