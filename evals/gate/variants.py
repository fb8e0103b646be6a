"""Known-bad videos, made of a run's own clips: what a fidelity metric must tell from a repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals import video
from evals.errors import SampleError
from evals.executors import Source
from evals.records import Normalization, digest, file_sha256
from evals.runs.current import SampleId
from evals.validate import degrade
from evals.video import Frames

SWAPPED = "swapped prompt"


@dataclass(frozen=True)
class Change:
    """What is done to a clip's frames; `crf` writes it as H.264 at that quality, else it is kept losslessly,
    so that nothing but the change is measured."""

    make: Callable[[Frames], Frames]
    crf: int | None = None


RNG = np.random.default_rng(0)
"""For changes that have nothing random about them."""
CHANGES: dict[str, Change] = {
    "codec": Change(lambda clip: clip, crf=38),
    "blur": Change(lambda clip: degrade.blur(clip, 1.0, RNG)),
    "colour shift": Change(lambda clip: _tinted(clip, 8)),
    "one-frame shift": Change(lambda clip: clip[np.maximum(np.arange(len(clip)) - 1, 0)]),
    "frozen tail": Change(lambda clip: degrade.freeze(clip, 0.5, RNG)),
}
"""H.264 at CRF 38; a Gaussian blur of 1 pixel; red up and blue down by 8 levels; every frame one frame late;
the second half standing still. `SWAPPED` gives each clip that of another prompt."""
KINDS = (*CHANGES, SWAPPED)


def _tinted(clip: Frames, levels: int) -> Frames:
    moved = clip.astype(np.int16) + np.array([levels, 0, -levels], np.int16)
    return np.asarray(np.clip(moved, 0, 255), np.uint8)


def write(
    clips: Mapping[SampleId, Source], folder: Path, advance: Callable[[bool], None] = lambda failed: None
) -> dict[str, dict[SampleId, Source]]:
    """Every kind of bad video of every clip, in `folder`; what is there already stays. A clip that cannot be
    read has none."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[SampleId, Source]] = {kind: {} for kind in KINDS}
    for at, source in clips.items():
        made = {kind: folder / f"{_name(kind, source)}{_suffix(change)}" for kind, change in CHANGES.items()}
        failed = False
        if not all(path.exists() for path in made.values()):
            try:
                _write(source.path, made)
            except SampleError:
                failed = True
        advance(failed)
        if not failed:
            for kind, path in made.items():
                found[kind][at] = Source(file_sha256(path), path)
    found[SWAPPED] = swapped(clips)
    return found


def swapped(clips: Mapping[SampleId, Source]) -> dict[SampleId, Source]:
    """Each clip's place with the clip of the next prompt of the same seed."""
    found = {}
    for seed in {at[1] for at in clips}:
        ids = sorted(prompt for prompt, one in clips if one == seed)
        if len(ids) > 1:
            for mine, other in zip(ids, ids[1:] + ids[:1], strict=True):
                found[mine, seed] = clips[other, seed]
    return found


def _name(kind: str, source: Source) -> str:
    return f"{kind.replace(' ', '-')}-{digest([kind, source.sha256])[:16]}"


def _suffix(change: Change) -> str:
    return ".mp4" if change.crf is not None else ".mkv"


def _write(source: Path, made: Mapping[str, Path]) -> None:
    opened = video.probe(source, video.Limits())
    clip = np.concatenate([chunk.new for chunk in video.decode(opened, Normalization())])
    for kind, path in made.items():
        change = CHANGES[kind]
        frames, fps = change.make(clip), opened.facts.fps
        if change.crf is None:
            video.encode(path, frames, fps, "ffv1")
        elif clip.shape[1] % 2 or clip.shape[2] % 2:  # H.264 would pad it to another size
            even = frames[:, : clip.shape[1] // 2 * 2, : clip.shape[2] // 2 * 2]
            coded = path.with_suffix(".even.mp4")
            video.encode(coded, np.ascontiguousarray(even), fps, "h264", change.crf)
            lossy, _ = video.read(coded)
            coded.unlink()
            frames = frames.copy()
            frames[:, : even.shape[1], : even.shape[2]] = lossy
            video.encode(path, frames, fps, "h264rgb")
        else:
            video.encode(path, frames, fps, "h264", change.crf)
