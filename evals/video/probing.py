"""Measuring a video without decoding it: its facts, when its frames are shown, and how they are shown.

Frame counts are exact: packets are counted before a frame is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from evals.errors import FileUnavailable, Reason, VideoError, is_machine_fault
from evals.records import VideoFacts
from evals.video import animated
from evals.video.display import Display

av.logging.set_level(av.logging.PANIC)

# Playlists and concat scripts can name other files and hosts, so only self-contained formats are opened.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,webp_pipe,webp,mpegts,mpeg,mpegvideo,m4v,h264,"
    "hevc,av1,obu,ivf,flv,live_flv,asf,ogg,nut,mxf,wav,mp3,aac,flac,yuv4mpegpipe,dv"
)
DEFAULT_FPS = 10.0
SHORTEST_GIF_DELAY = 2  # hundredths of a second: players show shorter ones for 10


@dataclass(frozen=True)
class Limits:
    """Bounds on one video. Memory bounds the decoder's address space; `stall` its silence."""

    seconds: float = 900.0
    stall: float = 120.0
    memory: int = 4 << 30
    pixels: int = 8192 * 4608
    frames: int = 100_000
    chunk_bytes: int = 24 << 20


@dataclass
class Video:
    """A probed file: its facts, the times at which its frames are shown, and how they are shown; `declared`
    is the number of frames that the container announces, 0 where it does not."""

    path: Path
    facts: VideoFacts
    times: list[float]
    display: Display = field(default_factory=Display)
    declared: int = 0
    webp: bool = False


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn PyAV's and the system's errors into a `VideoError` that says what is wrong."""
    try:
        yield
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.DemuxerNotFoundError) as error:
        raise VideoError(f"not a readable video: {error.strerror or error}") from None
    except (av.error.FFmpegError, av.error.EOFError) as error:
        if is_machine_fault(error):
            raise FileUnavailable(f"cannot be read now: {error.strerror}", Reason.FILE_UNREADABLE) from None
        raise VideoError(f"cannot be decoded: {error.strerror or error}") from None
    except FileNotFoundError:
        raise VideoError("no such file", Reason.FILE_MISSING) from None
    except OSError as error:
        kind = FileUnavailable if is_machine_fault(error) else VideoError
        raise kind(f"cannot be read: {error.strerror or error}", Reason.FILE_UNREADABLE) from None


def opened(path: Path) -> InputContainer:
    return av.open(f"file:{path}", options={"protocol_whitelist": "file", "format_whitelist": FORMATS})


def stream_of(container: InputContainer) -> VideoStream:
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        raise VideoError("has no video stream (audio only?)", Reason.NO_VIDEO_STREAM)
    # An animated AVIF holds its first frame as a picture, too: a stream of one frame before the real one.
    stream = max(streams, key=lambda s: (bool(s.disposition & av.stream.Disposition.default), s.frames != 1))
    if stream.codec_context is None:
        raise VideoError("its video codec is unknown")
    stream.codec_context.thread_count = 1  # workers are processes; threads would only compete
    return stream


def _rate(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= 1000:
            return float(rate)
    return None


@dataclass
class _Packets:
    """What a container says without a frame being decoded; `hidden` packets are decoded and not shown."""

    stamps: list[int | None]
    lengths: list[int]  # ticks for which each frame is shown, in order, 0 where that is not said
    hidden: int
    rate: float | None
    base: Fraction | None
    declared: int
    announced: float
    gif: bool


def _packets(path: Path, limits: Limits) -> _Packets:
    with opened(path) as container:
        stream = stream_of(container)
        _check_size(stream.codec_context.width, stream.codec_context.height, limits)
        stamps: list[int | None] = []
        lengths: dict[int | None, int] = {}
        hidden = 0
        for packet in container.demux(stream):
            if packet.size and packet.is_discard:  # an edit list leaves it out
                hidden += 1
            elif packet.size:
                stamps.append(packet.pts)
                lengths[packet.pts] = packet.duration or 0
            _check_count(len(stamps) + hidden, limits)
        # Matroska announces no frame count, but how long it lasts; other streams may last longer.
        alone = "matroska" in container.format.name and len(container.streams) == 1
        announced = container.duration / 1e6 if alone and container.duration else 0.0
        gif = "gif" in container.format.name
        shown = [lengths[s] for s in sorted(s for s in lengths if s is not None)]
        return _Packets(stamps, shown, hidden, _rate(stream), stream.time_base, stream.frames, announced, gif)


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        raise VideoError(
            f"{width}×{height} is more than the limit of {limits.pixels:,} pixels", Reason.TOO_MANY_PIXELS
        )


def _check_count(frames: int, limits: Limits) -> None:
    if frames > limits.frames:
        raise VideoError(f"has more than the limit of {limits.frames:,} frames", Reason.TOO_MANY_FRAMES)


def probe(path: Path, limits: Limits | None = None) -> Video:
    """Measure a file without decoding more than its first frame.

    Raises `VideoError` for anything that is not a video with at least one frame within `limits`.
    """
    limits = limits or Limits()
    with readable(path):
        if path.stat().st_size == 0:
            raise VideoError("the file is empty (0 bytes)", Reason.EMPTY_FILE)
        if animated.is_animated_webp(path):
            return _probe_webp(path, limits)
        if animated.lacks_its_end(path):
            raise VideoError("truncated: its end mark is not there", Reason.TRUNCATED)
        packets = _packets(path, limits)
        if not packets.stamps:
            raise VideoError("holds no frames", Reason.NO_FRAMES)
        with opened(path) as container:
            stream = stream_of(container)
            first = next(container.decode(stream), None)
            if first is None:
                raise VideoError("no frame can be decoded", Reason.NO_FRAMES)
            display = Display.of(stream, stream.codec_context, first)
            decoded_size = first.width, first.height
            codec, pixel_format = stream.codec_context.name, first.format.name
    notes = list(display.notes(*decoded_size))
    rate = packets.rate
    if packets.gif and animated.gif_gives_no_delay(path):
        notes.append("GIF without frame delays, or with delays under 20 ms: 10 fps assumed, as players do")
    if rate is None:
        rate = DEFAULT_FPS
        notes.append("the container gives no frame rate: 10 fps assumed")
    shown, declared = len(packets.stamps), packets.declared - packets.hidden
    if declared - shown > 1:
        raise VideoError(
            f"truncated: the container announces {declared} frames, {shown} are there", Reason.TRUNCATED
        )
    times, last = _times(packets, rate)
    variable = _is_variable([*times, times[-1] + last])
    if variable or packets.gif:  # what a container calls its rate need not be how its frames are shown
        rate = min(1000.0, len(times) / (times[-1] + last))
    lasts, announced = times[-1] + last, packets.announced
    if announced - lasts > max(0.05 * announced, 1.5 / rate):
        raise VideoError(
            f"truncated: the container announces {announced:.3g} s, {lasts:.3g} s are there", Reason.TRUNCATED
        )
    width, height = display.size(*decoded_size)
    _check_size(width, height, limits)
    facts = _facts((width, height), times, last, rate, variable, (codec, pixel_format), notes)
    return Video(path, facts, times, display, max(0, declared))


def _probe_webp(path: Path, limits: Limits) -> Video:
    """An animated WebP, which FFmpeg does not decode."""
    width, height = animated.webp_size(path)
    _check_size(width, height, limits)
    seconds = animated.webp_seconds(path, limits.frames)
    if not seconds:
        raise VideoError("holds no frames", Reason.NO_FRAMES)
    _check_count(len(seconds), limits)
    rate = min(1000.0, len(seconds) / sum(seconds))
    times = [float(t) for t in np.cumsum([0.0, *seconds[:-1]])]
    variable = _is_variable([*times, times[-1] + seconds[-1]])
    facts = _facts((width, height), times, seconds[-1], rate, variable, ("webp", "rgba"), [])
    return Video(path, facts, times, Display(), len(seconds), webp=True)


def _facts(
    size: tuple[int, int],
    times: Sequence[float],
    last: float,
    rate: float,
    variable: bool,
    names: tuple[str, str],
    notes: Sequence[str],
) -> VideoFacts:
    return VideoFacts(
        width=size[0],
        height=size[1],
        frames=len(times),
        fps=round(rate, 6),
        duration=round(times[-1] + last, 6),
        codec=names[0],
        pixel_format=names[1],
        variable_rate=variable,
        notes=(*notes, *(("variable frame rate",) if variable else ())),
    )


def _times(packets: _Packets, rate: float) -> tuple[list[float], float]:
    """Seconds at which frames are shown, from 0, and for which the last one is."""
    base, stamps = packets.base, packets.stamps
    if packets.gif:
        seconds = [(x if x >= SHORTEST_GIF_DELAY else 10) / 100 for x in packets.lengths]
        return [float(t) for t in np.cumsum([0.0, *seconds[:-1]])], seconds[-1]
    known = sorted(s for s in stamps if s is not None)
    if base is None or len(known) != len(stamps) or len(set(known)) != len(known):
        return [i / rate for i in range(len(stamps))], 1 / rate
    times = [float((s - known[0]) * base) for s in known]
    said = float(packets.lengths[-1] * base)
    return times, said if said > 0.5 / rate else 1 / rate


def _is_variable(times: Sequence[float]) -> bool:
    """Whether frames are spaced unevenly. Containers round times to ticks (Matroska: 1 ms), so only a spread
    beyond that counts."""
    steps = np.diff(times)
    return bool(len(steps) and steps.max() - steps.min() > max(0.2 * float(np.median(steps)), 0.0021))
