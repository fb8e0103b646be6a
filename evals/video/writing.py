"""Writing videos: H.264, small for browsers, and two lossless choices."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from evals.video.reading import Frames

Codec = Literal["h264", "ffv1", "h264rgb", "preview", "viewing"]
# Without this, x264's macroblock tree reads memory it never wrote, and equal frames give unequal bytes.
_SAME_BYTES = {"x264-params": "cpu-independent=1"}
_CODECS: dict[Codec, tuple[str, str, dict[str, str], str]] = {
    "h264": ("libx264", "yuv420p", {"crf": "18", "preset": "medium", **_SAME_BYTES}, ".mp4"),
    # A key frame every 12 frames, and none out of order: a browser seeks to a frame at once, and finds it.
    "preview": (
        "libx264",
        "yuv420p",
        {"crf": "28", "preset": "veryfast", "g": "12", "bf": "0", **_SAME_BYTES},
        ".mp4",
    ),
    # What people rate: hardly another picture than the original, and as easy to play.
    "viewing": (
        "libx264",
        "yuv420p",
        {"crf": "12", "preset": "veryfast", "g": "12", "bf": "0", **_SAME_BYTES},
        ".mp4",
    ),
    "ffv1": ("ffv1", "bgr0", {}, ".mkv"),
    "h264rgb": ("libx264rgb", "rgb24", {"crf": "0", "preset": "medium", **_SAME_BYTES}, ".mp4"),
}


def encode(
    path: Path, frames: Iterable[Frames], fps: float, codec: Codec = "h264", crf: int | None = None
) -> None:
    """Write frames (H, W, 3) uint8 RGB. `ffv1` (.mkv) and `h264rgb` (.mp4) keep every bit;
    `preview` (.mp4) is small, and seeks fast.

    H.264 in yuv420p needs even sides: an odd one is padded by repeating its last row or column.
    The file appears under its name only when it is complete; equal frames
    give equal bytes. Raises `ValueError` for frames of unequal size, none at all, or another suffix.
    """
    name, pixel_format, options, suffix = _CODECS[codec]
    if path.suffix != suffix:
        raise ValueError(f"{codec} is written to {suffix} files, not {path.name!r}")
    if crf is not None:
        options = {**options, "crf": str(crf)}
    partial = path.with_name(f".{path.stem}.{os.getpid()}{suffix}")
    try:
        with av.open(str(partial), "w") as container:
            rate = Fraction(fps).limit_denominator(60000)
            stream = cast(VideoStream, container.add_stream(name, rate=rate, options=options))
            stream.pix_fmt = pixel_format
            stream.codec_context.thread_count = 1
            shape: tuple[int, ...] | None = None
            for frame in frames:
                if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                    raise ValueError(f"frames are (H, W, 3) uint8, not {frame.shape} {frame.dtype}")
                if shape is None:
                    shape = frame.shape
                    odd = [n % 2 if pixel_format == "yuv420p" else 0 for n in shape[:2]]
                    stream.height, stream.width = shape[0] + odd[0], shape[1] + odd[1]
                if frame.shape != shape:
                    raise ValueError(f"frames change their size from {shape} to {frame.shape}")
                if any(odd):
                    frame = np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
                picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
            if shape is None:
                raise ValueError("a video needs at least one frame")
            container.mux(stream.encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
