"""Reading videos: probe, select, decode.

Frame counts are exact: packets are counted before a frame is decoded, and a decoder that gives
another number raises `FrameCountDiffers`, so that nothing sampled by index can shift unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from evals.errors import DoesNotApply, Reason, VideoError
from evals.records import Normalization, VideoFacts

Frames = NDArray[np.uint8]

av.logging.set_level(av.logging.PANIC)

# Playlists and concat scripts can name other files and hosts, so only self-contained formats are opened.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,webp_pipe,webp,mpegts,mpeg,mpegvideo,m4v,h264,"
    "hevc,av1,obu,ivf,flv,live_flv,asf,ogg,nut,mxf,wav,mp3,aac,flac,yuv4mpegpipe,dv"
)
GIF_DEFAULT_FPS = 10.0


@dataclass(frozen=True)
class Limits:
    """Bounds on one video. Memory bounds the decoder's address space; `stall` its silence."""

    seconds: float = 900.0
    stall: float = 120.0
    memory: int = 4 << 30
    pixels: int = 8192 * 4608
    frames: int = 100_000
    chunk_bytes: int = 24 << 20


class FrameCountDiffers(VideoError):
    """The decoder gave another number of frames than the container announced."""

    def __init__(self, announced: int, decoded: int) -> None:
        super().__init__(f"the container announces {announced} frames, {decoded} can be decoded")
        self.announced, self.decoded = announced, decoded


@dataclass
class Video:
    """A probed file: its facts, the times at which its frames are shown, and how to turn them."""

    path: Path
    facts: VideoFacts
    times: list[float]
    rotation: int = 0
    declared: int = 0


@dataclass
class Chunk:
    """Consecutive frames (n, H, W, 3), uint8 RGB; the first `lead` of them were in the chunk before.

    What several extractors need is computed once: `grey`, and what they keep in `memo`.
    """

    frames: Frames
    start: int
    lead: int
    fps: float
    memo: dict[Any, Any] = field(default_factory=dict)

    @property
    def new(self) -> Frames:
        """The frames that no earlier chunk held."""
        return self.frames[self.lead :]

    @cached_property
    def grey(self) -> Frames:
        """(n, H, W) uint8 luma (BT.601 weights)."""
        return np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in self.frames])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn PyAV's and the system's errors into a `VideoError` that says what is wrong."""
    try:
        yield
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.DemuxerNotFoundError) as error:
        raise VideoError(f"not a readable video: {error.strerror or error}") from None
    except (av.error.FFmpegError, av.error.EOFError) as error:
        raise VideoError(f"cannot be decoded: {error.strerror or error}") from None
    except FileNotFoundError:
        raise VideoError("no such file", Reason.FILE_MISSING) from None
    except OSError as error:
        raise VideoError(f"cannot be read: {error.strerror or error}", Reason.FILE_UNREADABLE) from None


def _open(path: Path) -> InputContainer:
    return av.open(f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": FORMATS})


def _stream(container: InputContainer) -> VideoStream:
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        raise VideoError("has no video stream (audio only?)", Reason.NO_VIDEO_STREAM)
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError("its video codec is unknown")
    stream.codec_context.thread_count = 1  # workers are processes; threads would only compete
    return stream


def _rate(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= 1000:
            return float(rate)
    return None


def _gif_delay_missing(path: Path) -> bool:
    """Whether a GIF leaves its delay to the player; FFmpeg doesn't tell, Pillow does."""
    from PIL import Image

    with Image.open(path) as image:
        return not image.info.get("duration")


def probe(path: Path, limits: Limits | None = None) -> Video:
    """Measure a file without decoding more than its first frame.

    Raises `VideoError` for anything that is not a video with at least one frame within `limits`.
    """
    limits = limits or Limits()
    with _readable(path):
        if path.stat().st_size == 0:
            raise VideoError("the file is empty (0 bytes)", Reason.EMPTY_FILE)
        with _open(path) as container:
            stream = _stream(container)
            context = stream.codec_context
            if context.width * context.height > limits.pixels:
                raise VideoError(
                    f"{context.width}×{context.height} is more than the limit of {limits.pixels:,} pixels",
                    Reason.TOO_MANY_PIXELS,
                )
            stamps: list[int | None] = []
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    stamps.append(packet.pts)
                if len(stamps) > limits.frames:
                    raise VideoError(
                        f"has more than the limit of {limits.frames:,} frames", Reason.TOO_MANY_FRAMES
                    )
            rate, base, declared = _rate(stream), stream.time_base, stream.frames
            # Matroska announces no frame count, but how long it lasts; other streams may last longer.
            alone = "matroska" in container.format.name and len(container.streams) == 1
            announced = container.duration / 1e6 if alone and container.duration else 0.0
            is_gif = "gif" in container.format.name
        if not stamps:
            raise VideoError("holds no frames", Reason.NO_FRAMES)
        with _open(path) as container:
            stream = _stream(container)
            first = next(container.decode(stream), None)
            if first is None:
                raise VideoError("no frame can be decoded", Reason.NO_FRAMES)
            rotation = int(round(first.rotation / 90) * 90) % 360
            width, height = first.width, first.height
            codec, pixel_format = context.name, first.format.name
    notes: list[str] = []
    if is_gif and _gif_delay_missing(path):
        rate = GIF_DEFAULT_FPS
        notes.append("GIF without frame delays: 10 fps assumed, as players do")
    if rate is None:
        rate = GIF_DEFAULT_FPS
        notes.append("the container gives no frame rate: 10 fps assumed")
    if declared and declared - len(stamps) > 1:
        raise VideoError(
            f"truncated: the container announces {declared} frames, {len(stamps)} are there", Reason.TRUNCATED
        )
    times, variable = _times(stamps, base, rate)
    lasts = times[-1] + 1 / rate
    if announced - lasts > max(0.05 * announced, 2 / rate):
        raise VideoError(
            f"truncated: the container announces {announced:.3g} s, {lasts:.3g} s are there", Reason.TRUNCATED
        )
    if variable:
        notes.append("variable frame rate")
    if rotation % 180:
        width, height = height, width
    facts = VideoFacts(
        width=width,
        height=height,
        frames=len(stamps),
        fps=round(rate, 6),
        duration=round(times[-1] + 1 / rate, 6),
        codec=codec,
        pixel_format=pixel_format,
        variable_rate=variable,
        notes=tuple(notes),
    )
    return Video(path, facts, times, rotation, declared)


def _times(stamps: Sequence[int | None], base: Fraction | None, rate: float) -> tuple[list[float], bool]:
    """Seconds at which frames are shown, from 0, and whether their spacing varies."""
    known = sorted(s for s in stamps if s is not None)
    if base is None or len(known) != len(stamps) or len(set(known)) != len(known):
        return [i / rate for i in range(len(stamps))], False
    times = [float((s - known[0]) * base) for s in known]
    steps = np.diff(times)
    # Containers round times to ticks (Matroska: 1 ms), so only a spread beyond that counts.
    variable = bool(len(steps) and steps.max() - steps.min() > max(0.2 * float(np.median(steps)), 0.0021))
    return times, variable


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


class _Converter:
    """Decoded frames to upright RGB of one size; keeps one reformatter, which saves a quarter."""

    def __init__(self, video: Video, short_side: int | None) -> None:
        self.video, self.short_side = video, short_side
        self.reformatter = VideoReformatter()
        self.composited = False
        self.shape: tuple[int, int] | None = None

    def __call__(self, frame: VideoFrame) -> Frames:
        if frame.is_corrupt:
            raise VideoError("a frame is damaged", Reason.DAMAGED_FRAME)
        if self.shape is None:
            self.shape = (frame.width, frame.height)
        if self.shape != (frame.width, frame.height):
            raise VideoError(
                f"changes its size from {self.shape[0]}×{self.shape[1]} to {frame.width}×{frame.height}",
                Reason.SIZE_CHANGES,
            )
        rgb = self._rgb(frame)
        if self.video.rotation:
            rgb = np.ascontiguousarray(np.rot90(rgb, self.video.rotation // 90))
        return _resize(rgb, self.short_side) if self.short_side else rgb

    def _rgb(self, frame: VideoFrame) -> Frames:
        layout = "rgba" if any(c.is_alpha for c in frame.format.components) else "rgb24"
        image = np.asarray(self.reformatter.reformat(frame, format=layout, threads=1).to_ndarray(), np.uint8)
        if layout == "rgb24":
            return image
        alpha = image[..., 3:]
        if alpha.min() == 255:
            return np.ascontiguousarray(image[..., :3])
        self.composited = True
        return ((image[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


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
    convert = _Converter(video, normalization.short_side)
    fps = normalization.fps or video.facts.fps
    pending: list[Frames] = []
    lead: Frames | None = None
    start = position = decoded = 0
    with _readable(video.path), _open(video.path) as container:
        stream = _stream(container)
        for frame in container.decode(stream):
            index, decoded = decoded, decoded + 1
            if position >= len(wanted) or wanted[position] != index:
                continue
            image = convert(frame)
            while position < len(wanted) and wanted[position] == index:
                pending.append(image)
                position += 1
                if (len(pending) + 2) * image.nbytes > chunk_bytes:  # the lead frame counts
                    yield _chunk(pending, lead, start, fps)
                    lead, start, pending = pending[-1], start + len(pending), []
    if decoded != expected:
        if video.declared and video.declared - decoded > 1:
            raise VideoError(
                f"truncated: the container announces {video.declared} frames, {decoded} can be decoded",
                Reason.TRUNCATED,
            )
        raise FrameCountDiffers(expected, decoded)
    if pending:
        yield _chunk(pending, lead, start, fps)
    if convert.composited and notes is not None:
        notes.append("transparent pixels shown over black")


def _chunk(pending: list[Frames], lead: Frames | None, start: int, fps: float) -> Chunk:
    frames = np.stack(pending if lead is None else [lead, *pending])
    return Chunk(frames, start, 0 if lead is None else 1, fps)


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
