"""Two videos decoded in step: a frame of one against the frame of the same number of the other.

Chunks are bounded in bytes and are cut at other places in files of other sizes, so frames are taken one by
one from both sides. Videos of another size, length or rate are no pair: nothing is cropped or resampled."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from evals import video
from evals.decoding import wire
from evals.decoding.spent import Clock, peak_memory
from evals.errors import DoesNotApply, Reason, VideoError
from evals.extractors.paired import PAIR_EXTRACTORS, PairExtractor, create_pair
from evals.records import Normalization
from evals.runs.features import Features
from evals.video import Frames, Resize

RATES = 1e-3  # relative difference up to which two rates are one
_RESIZE: TypeAdapter[Resize] = TypeAdapter(Resize)
Problem = tuple[str, Reason, str]


def extract(
    sock: socket.socket, job: dict[str, Any], limits: video.Limits, first: Path, second: Path
) -> tuple[dict[str, Any], wire.Arrays]:
    """Send the windows of encoders; give the last message. Raises `VideoError` where the two are no pair."""
    sides = [video.probe(path, limits) for path in (first, second)]
    normalization = Normalization.model_validate(job["normalization"])
    counts, notes = [side.facts.frames for side in sides], list[str]()
    one_size = bool(job["windows"]) or not all(_takes_any_size(name) for name in job["extractors"])
    for _ in sides:  # a container may announce a wrong number, each side once
        check(sides[0], sides[1], normalization, counts, one_size)
        try:
            return _pass(sock, job, limits, sides, normalization, counts, notes)
        except _Miscounted as wrong:
            if wrong.error.decoded == 0 or counts[wrong.side] == wrong.error.decoded:
                raise wrong.error from None
            counts[wrong.side] = wrong.error.decoded
            notes = [*notes, str(wrong.error)]
            wire.send(sock, {"type": "restart"})
    check(sides[0], sides[1], normalization, counts, one_size)
    return _pass(sock, job, limits, sides, normalization, counts, notes)


def _takes_any_size(name: str) -> bool:
    return bool(getattr(PAIR_EXTRACTORS.get(name), "any_size", False))


def check(
    a: video.Video, b: video.Video, normalization: Normalization, counts: list[int], one_size: bool = True
) -> None:
    """Raises `VideoError` where two videos differ in rate or length, or in size where they must not."""
    one, other = a.facts, b.facts
    if (
        one_size
        and normalization.short_side is None
        and (one.width, one.height) != (other.width, other.height)
    ):
        message = f"is {one.width}×{one.height}, the other video {other.width}×{other.height}"
        raise VideoError(f"{message}: frames of two sizes don't compare", Reason.OTHER_SIZE)
    if normalization.fps is None and abs(one.fps - other.fps) > RATES * other.fps:
        message = f"has {one.fps:g} fps, the other video {other.fps:g}"
        raise VideoError(f"{message}: frames don't show the same time", Reason.OTHER_RATE)
    kept = [len(video.select(side, normalization, n)) for side, n in zip((a, b), counts, strict=True)]
    if kept[0] != kept[1]:
        message = f"has {kept[0]} frames, the other video {kept[1]}"
        raise VideoError(f"{message}: they are of two lengths", Reason.OTHER_LENGTH)


class _Miscounted(Exception):
    def __init__(self, side: int, error: video.FrameCountDiffers) -> None:
        super().__init__()
        self.side, self.error = side, error


def _frames(
    side: int, found: video.Video, normalization: Normalization, limit: int, count: int, notes: list[str]
) -> Iterator[Frames]:
    try:
        for chunk in video.decode(found, normalization, limit, count, notes):
            yield from chunk.new
    except video.FrameCountDiffers as error:
        raise _Miscounted(side, error) from None


def _pass(
    sock: socket.socket,
    job: dict[str, Any],
    limits: video.Limits,
    sides: list[video.Video],
    normalization: Normalization,
    counts: list[int],
    notes: list[str],
) -> tuple[dict[str, Any], wire.Arrays]:
    """Decode both once, in step."""
    notes, clock, problems = list(notes), Clock(), dict[str, Problem]()
    extractors: dict[str, PairExtractor] = {}
    for name, (_, spec) in job["extractors"].items():
        extractors[name] = create_pair(name)
        if extractors[name].spec.digest != spec:
            message = f"pair extractor {name}: its code has changed; run the command again"
            problems[name] = ("again", Reason.EXTRACTOR_ERROR, message)
    resizes = {name: _RESIZE.validate_python(resize) for name, (_, resize) in job["windows"].items()}
    parts: dict[str, list[Features]] = {name: [] for name in extractors}
    streams = [
        _frames(i, side, normalization, limits.chunk_bytes // 3, counts[i], notes)
        for i, side in enumerate(sides)
    ]
    number, shape = 0, (0, 0)
    one_size = bool(resizes) or not all(e.any_size for e in extractors.values())
    for a, b in _in_step(streams[0], streams[1], one_size):
        clock.lap("decode")
        shape = a.shape[:2]
        for name, extractor in extractors.items():
            if name not in problems:
                try:
                    parts[name].append(extractor.step(a[None], b[None]))
                except DoesNotApply as error:
                    problems[name] = ("skip", error.reason, str(error))
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - one extractor's fault costs its own metrics alone
                    message = f"pair extractor {extractor.spec.name}: {type(error).__name__}: {error}"
                    problems[name] = ("failed", Reason.EXTRACTOR_ERROR, message)
                clock.lap(f"pairs:{name}")
        for name, resize in resizes.items():
            window = np.stack([resize.apply(a), resize.apply(b)])
            head = {"type": "window", "encoder": name, "number": number}
            wire.send(sock, head, {"window": window})
            clock.lap(f"windows:{name}")
        number += 1
        wire.send(sock, {"type": "progress", "frames": number})
    arrays: wire.Arrays = {"/times": np.arange(number) / (normalization.fps or sides[0].facts.fps)}
    for name, found in parts.items():
        if name not in problems:
            found.append(extractors[name].finish())
            for array in dict.fromkeys(array for part in found for array in part):
                arrays[f"{name}/{array}"] = np.concatenate([part[array] for part in found if array in part])
    arrays |= {f"{name}/index": np.arange(number) for name in resizes}
    head = {"type": "done", "problems": problems, "notes": notes, "frames": number}
    head |= {"fps": normalization.fps or sides[0].facts.fps, "height": shape[0], "width": shape[1]}
    return head | {"seconds": clock.seconds, "peak": peak_memory()}, arrays


def _in_step(a: Iterator[Frames], b: Iterator[Frames], one_size: bool) -> Iterator[tuple[Frames, Frames]]:
    """Frames of both; what one side still finds out at its end is not lost."""
    for first in a:
        second = next(b, None)
        if second is None:
            break
        if one_size and first.shape != second.shape:
            sizes = [f"{x.shape[1]}×{x.shape[0]}" for x in (first, second)]
            raise VideoError(f"is {sizes[0]}, the other video {sizes[1]}", Reason.OTHER_SIZE)
        yield first, second
    for _ in b:
        pass
