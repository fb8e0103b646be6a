"""Video I/O and what encoders get of a video. The only place that imports PyAV."""

from evals.video.probing import Limits, Video, probe
from evals.video.reading import Chunk, FrameCountDiffers, Frames, decode, read, select
from evals.video.resizing import Bounded, CenterCrop, Resize, ShortSide, Stretch, shrunk
from evals.video.selection import (
    EVERY_FRAME,
    FirstFrames,
    FlowPairs,
    FrameSelection,
    SlidingWindows,
    SpacedWindows,
    SpreadFrames,
)
from evals.video.writing import Codec, encode

__all__ = [
    "EVERY_FRAME",
    "Bounded",
    "CenterCrop",
    "Chunk",
    "Codec",
    "FirstFrames",
    "FlowPairs",
    "FrameCountDiffers",
    "FrameSelection",
    "Frames",
    "Limits",
    "Resize",
    "ShortSide",
    "SlidingWindows",
    "SpacedWindows",
    "SpreadFrames",
    "Stretch",
    "Video",
    "decode",
    "encode",
    "probe",
    "read",
    "select",
    "shrunk",
]
