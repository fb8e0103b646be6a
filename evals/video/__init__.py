"""Video I/O: the only place that imports PyAV."""

from evals.video.reading import (
    Chunk,
    FrameCountDiffers,
    Frames,
    Limits,
    Video,
    decode,
    probe,
    read,
    select,
)
from evals.video.writing import Codec, encode

__all__ = [
    "Chunk",
    "Codec",
    "FrameCountDiffers",
    "Frames",
    "Limits",
    "Video",
    "decode",
    "encode",
    "probe",
    "read",
    "select",
]
