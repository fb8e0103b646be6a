"""From a decoded frame to the picture that a player shows: upright, square pixels, SDR, whole fields.

A container can ask for a turn or a mirror image, pixels that are not square, light beyond SDR, and frames
made of two fields. All are followed; a note on the sample says what was done. What cannot be followed is
refused.

HDR becomes SDR in this way: light from the signal (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 on a display of
1,000 cd/m²), divided by 203 cd/m², the white of BT.2408; BT.2020 or P3 primaries (with the white of D65, also
where DCI's is named) to BT.709; the largest of R, G and B through a curve that is straight up to 0.7 and
reaches 1 at 1,000 cd/m², the others in proportion; BT.1886.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from evals.errors import Reason, VideoError

Light = Literal["sdr", "pq", "hlg"]
_TRANSFER: dict[int, Light] = {16: "pq", 18: "hlg"}  # H.273's numbers, which FFmpeg uses
_ICTCP, _SRGB_GAMUT = 14, "bt709"
_GAMUTS = {9: "bt2020", 11: "p3", 12: "p3"}
_PRIMARIES = {  # x and y of red, green and blue; white is that of D65 everywhere
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)
WHITE, PEAK, KNEE, GAMMA = 203.0, 1000.0, 0.7, 2.4
_NAMES = {"pq": "HDR (PQ)", "hlg": "HDR (HLG)", "sdr": "wide-gamut colour"}
_SQUARE = 0.01  # pixels less than 1 % off square are taken as they are


@dataclass(frozen=True)
class Display:
    """What a stream asks a player to do.

    `turn` (a, b, c, d) maps a point (x, y) to (ax + cy, bx + dy), each of them -1, 0 or 1; `aspect` is a
    pixel's width over its height; `gamut` and `light` those of the colours; `fields` where frames are
    interlaced.
    """

    turn: tuple[int, int, int, int] = (1, 0, 0, 1)
    aspect: Fraction = field(default_factory=lambda: Fraction(1))
    gamut: str = _SRGB_GAMUT
    light: Light = "sdr"
    fields: bool = False

    @classmethod
    def of(cls, stream: VideoStream, context: VideoCodecContext, first: VideoFrame) -> Display:
        """What a stream asks for, by its first frame. Raises `VideoError` for what cannot be followed."""
        aspect = stream.sample_aspect_ratio
        if not aspect or aspect <= 0 or abs(float(aspect) - 1) < _SQUARE:
            aspect = Fraction(1)
        if not Fraction(1, 8) <= aspect <= 8:
            raise VideoError(f"asks for pixels of the shape {aspect}", Reason.UNSUPPORTED_DISPLAY)
        if int(first.colorspace) == _ICTCP:
            raise VideoError("its colours are ICtCp, which are not read", Reason.UNSUPPORTED_DISPLAY)
        return cls(
            _turn(first), aspect, _GAMUTS.get(int(context.color_primaries), _SRGB_GAMUT),
            _TRANSFER.get(int(context.color_trc), "sdr"), bool(first.interlaced_frame),
        )  # fmt: skip

    @property
    def upright(self) -> bool:
        return self.turn == (1, 0, 0, 1)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown."""
        wide, tall = self._square(width, height)
        return (wide, tall) if self.turn[0] else (tall, wide)

    def _square(self, width: int, height: int) -> tuple[int, int]:
        if self.aspect >= 1:
            return round(width * self.aspect), height
        return width, round(height / self.aspect)

    def notes(self, width: int, height: int) -> Iterator[str]:
        """What was done, for the sample's record."""
        if self.aspect != 1:
            wide, tall = self._square(width, height)
            yield f"pixels of the shape {self.aspect}: {width}×{height} shown as {wide}×{tall}"
        a, b, c, d = self.turn
        if a * d - b * c < 0:
            yield "mirrored, as its display matrix says"
        if self.light != "sdr" or self.gamut != _SRGB_GAMUT:
            yield f"{_NAMES[self.light]} shown in SDR, BT.709"
        if self.fields:
            yield "interlaced: fields joined by bwdif"

    def shown(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An RGB picture with square pixels, upright."""
        height, width = image.shape[:2]
        size = self._square(width, height)
        if size != (width, height):
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        if self.upright:
            return image
        a, b, c, d = self.turn
        if not a:
            image = image.swapaxes(0, 1)
        mirrored = image[:, ::-1] if (a or c) < 0 else image
        return np.ascontiguousarray(mirrored[::-1] if (d or b) < 0 else mirrored)

    def frames(self, stream: VideoStream, decoded: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """Whole frames, one for each that was decoded."""
        return _whole_frames(stream, decoded) if self.fields else decoded


def _turn(frame: VideoFrame) -> tuple[int, int, int, int]:
    """The first four numbers of a frame's display matrix. Raises `VideoError` where it is no quarter turn."""
    every: Any = frame.side_data
    found = next((s for s in every if getattr(s.type, "name", "") == "DISPLAYMATRIX"), None)
    if found is None:
        return (1, 0, 0, 1)
    matrix = np.frombuffer(bytes(found), np.int32)[:9].reshape(3, 3)[:2, :2].astype(np.float64)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not lengths.any():
        return (1, 0, 0, 1)
    directions = matrix / np.maximum(lengths, 1)  # a scale is not followed: players show the picture's size
    a, b, c, d = (round(float(x)) for x in directions.ravel())
    off = np.abs(directions - [[a, b], [c, d]]).max()
    if abs(a * d - b * c) != 1 or off > math.sin(math.radians(1)):
        raise VideoError("asks to be shown at an angle that is no quarter turn", Reason.UNSUPPORTED_DISPLAY)
    return a, b, c, d


def _whole_frames(stream: VideoStream, decoded: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    graph = Graph()
    graph.threads = 1
    source, sink = graph.add_buffer(template=stream), graph.add("buffersink")
    joined = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    source.link_to(joined)
    joined.link_to(sink)
    graph.configure()
    for frame in decoded:
        graph.vpush(frame)
        yield from _ready(graph)
    graph.vpush(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return


class Converter:
    """Decoded frames to RGB as shown; keeps one reformatter, which saves a quarter."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.reformatter = VideoReformatter()
        self.composited = False

    def __call__(self, frame: VideoFrame | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame as decoded, or RGBA (H, W, 4), to RGB (H, W, 3)."""
        return self.display.shown(self._rgb(frame))

    def _rgb(self, frame: VideoFrame | NDArray[np.uint8]) -> NDArray[np.uint8]:
        if isinstance(frame, np.ndarray):
            return self._over_black(frame)
        if self.display.light != "sdr" or self.display.gamut != _SRGB_GAMUT:
            deep = self._as(frame, "rgb48le")
            return to_sdr(np.asarray(deep, np.uint16), self.display.light, self.display.gamut)
        if any(c.is_alpha for c in frame.format.components):
            return self._over_black(np.asarray(self._as(frame, "rgba"), np.uint8))
        return np.asarray(self._as(frame, "rgb24"), np.uint8)

    def _as(self, frame: VideoFrame, layout: str) -> NDArray[Any]:
        return self.reformatter.reformat(frame, format=layout, threads=1).to_ndarray()

    def _over_black(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        alpha = image[..., 3:]
        if alpha.min() == 255:
            return np.ascontiguousarray(image[..., :3])
        self.composited = True
        return ((image[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def to_sdr(signal: NDArray[np.uint16], light: Light, gamut: str) -> NDArray[np.uint8]:
    """(H, W, 3) R'G'B' of 16 bits to 8-bit BT.709, as the module says."""
    linear: NDArray[Any] = _linear(light)[signal]
    if light == "hlg":  # the display's gamma depends on the scene's luminance
        luminance = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        linear = linear * (PEAK / WHITE) * np.maximum(luminance, 1e-6)[..., None] ** np.float32(0.2)
    if gamut != _SRGB_GAMUT:
        linear = linear @ _to_709(gamut).T
    linear = np.maximum(linear, 0)
    if light != "sdr":
        largest = linear.max(-1, keepdims=True)
        linear = linear * np.where(largest > KNEE, _rolled_off(largest) / np.maximum(largest, KNEE), 1)
    found: NDArray[Any] = np.rint(255 * np.clip(linear, 0, 1) ** np.float32(1 / GAMMA))
    return found.astype(np.uint8)


@cache
def _to_709(gamut: str) -> NDArray[np.float32]:
    """Linear light of other primaries to that of BT.709."""
    return np.linalg.solve(_to_xyz(_SRGB_GAMUT), _to_xyz(gamut)).astype(np.float32)


def _to_xyz(gamut: str) -> NDArray[np.float64]:
    """Linear RGB to XYZ: each primary so strong that together they are white (SMPTE RP 177)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in _PRIMARIES[gamut]]).T
    white = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
    return np.asarray(columns * np.linalg.solve(columns, white), np.float64)


def _rolled_off(light: NDArray[Any]) -> NDArray[Any]:
    """The tone curve above its knee."""
    over, most = (light - KNEE) / (1 - KNEE), (PEAK / WHITE - KNEE) / (1 - KNEE)
    curve = KNEE + (1 - KNEE) * over / (1 + over) * (1 + most) / most
    return np.asarray(np.minimum(curve, 1))


@cache
def _linear(light: Light) -> NDArray[np.float32]:
    """Light of every 16-bit signal: 1 is reference white, of HLG the scene's largest."""
    signal = np.arange(65536) / 65535
    if light == "pq":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        found = 10_000 / WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    elif light == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        found = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        found = signal**GAMMA
    return found.astype(np.float32)
