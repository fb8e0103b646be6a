"""Damaged files, made from whole ones: the same bytes for the same seed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Rng = np.random.Generator

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"}


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of every MP4 box, with those inside; stops at nonsense."""
    end = len(data) if end is None else end
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        size = end - at if size == 0 else size
        if size < 8 or at + size > end:
            return
        yield kind, at, at + size
        if kind in CONTAINERS:
            yield from boxes(data, at + 8, at + size)
        at += size


def flip(data: bytes, rng: Rng) -> bytes:
    """A few bits, anywhere."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 40))):
        out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def flip_header(data: bytes, rng: Rng) -> bytes:
    """A few bits among the first or the last kilobytes, where containers keep their tables."""
    out = bytearray(data)
    reach = min(len(out), 3000)
    for _ in range(int(rng.integers(1, 20))):
        at = int(rng.integers(reach))
        out[at if rng.uniform() < 0.5 else len(out) - 1 - at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def hole(data: bytes, rng: Rng) -> bytes:
    """A stretch of zeros."""
    a, b = np.sort(rng.integers(0, len(data), 2))
    return data[:a] + bytes(int(b - a)) + data[b:]


def repeat(data: bytes, rng: Rng) -> bytes:
    """A stretch twice."""
    a, b = np.sort(rng.integers(0, len(data), 2))
    return data[:b] + data[a:]


def swap_boxes(data: bytes, rng: Rng) -> bytes:
    """Two boxes of one level change places; other containers lose a stretch to another place."""
    found = list(boxes(data))
    if len(found) < 2:
        a, b, c = np.sort(rng.integers(0, len(data), 3))
        return data[:a] + data[b:c] + data[a:b] + data[c:]
    one, two = sorted(rng.choice(len(found), 2, replace=False))
    (_, a, b), (_, c, d) = found[one], found[two]
    if b > c:  # one lies in the other: take the inner one's name
        return data[: a + 4] + data[c + 4 : c + 8] + data[a + 8 :]
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _write(kind: bytes, offset: int, value: Callable[[Rng], int], form: str) -> Callable[[bytes, Rng], bytes]:
    def change(data: bytes, rng: Rng) -> bytes:
        out = bytearray(data)
        for found, start, end in boxes(data):
            if found == kind and start + offset + struct.calcsize(form) <= end:
                struct.pack_into(form, out, start + offset, value(rng))
        return bytes(out)

    return change


def _huge(rng: Rng) -> int:
    return int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000]))


def sample_entry(data: bytes, rng: Rng) -> bytes:
    """Other dimensions in the sample description."""
    out = bytearray(data)
    for kind, start, _ in boxes(data):
        if kind == b"stsd":
            struct.pack_into(
                ">HH", out, start + 16 + 32, *(int(x) for x in rng.choice([0, 1, 65535, 9000], 2))
            )
    return bytes(out)


DAMAGE: dict[str, Callable[[bytes, Rng], bytes]] = {
    "flip": flip,
    "flip-header": flip_header,
    "cut": cut,
    "hole": hole,
    "repeat": repeat,
    "swap-boxes": swap_boxes,
    "dimensions": sample_entry,
    "track-size": _write(b"tkhd", 84, _huge, ">I"),
    "time-scale": _write(b"mdhd", 20, lambda rng: int(rng.choice([0, 1, 0xFFFFFFFF])), ">I"),
    "duration": _write(b"mdhd", 24, _huge, ">I"),
    "movie-duration": _write(b"mvhd", 24, _huge, ">I"),
    "frame-time": _write(b"stts", 20, _huge, ">I"),
    "frame-count": _write(b"stts", 16, _huge, ">I"),
    "sample-count": _write(b"stsz", 16, _huge, ">I"),
    "sample-size": _write(b"stsz", 20, _huge, ">I"),
    "edit": _write(b"elst", 16, _huge, ">I"),
}


def damaged(whole: list[Path], folder: Path, count: int, seed: int = 7) -> list[Path]:
    """`count` damaged copies of whole files, every kind of damage in turn."""
    made = []
    kinds = list(DAMAGE)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        source = whole[int(rng.integers(len(whole)))]
        kind = kinds[number % len(kinds)]
        path = folder / f"{number:04d}-{kind}{source.suffix}"
        path.write_bytes(DAMAGE[kind](source.read_bytes(), rng))
        made.append(path)
    return made
