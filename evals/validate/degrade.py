"""Known degradations of clips, from just visible to gross: functions of frames, strength and a generator."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.video import Frames

Degradation = Callable[[Frames, float, np.random.Generator], Frames]
WAVE = 8.0  # pixels over which a local warp is alike


def _levels(values: NDArray[np.floating]) -> Frames:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def noise(clip: Frames, sigma: float, rng: np.random.Generator) -> Frames:
    """Gaussian noise of its own in every frame, in levels."""
    return _levels(clip.astype(np.float64) + rng.normal(0, sigma, clip.shape))


def blur(clip: Frames, sigma: float, rng: np.random.Generator) -> Frames:
    """Gaussian blur, in pixels."""
    return np.stack([np.asarray(cv2.GaussianBlur(f, (0, 0), sigma), np.uint8) for f in clip])


def jitter(clip: Frames, sigma: float, rng: np.random.Generator) -> Frames:
    """Every frame but the first shifted by its own amount, in pixels."""
    shifts = rng.normal(0, sigma, (len(clip), 2))
    shifts[0] = 0
    return np.stack([_moved(f, np.full(f.shape[:2], x), np.full(f.shape[:2], y))
                     for f, (x, y) in zip(clip, shifts, strict=True)])  # fmt: skip


def warp(clip: Frames, sigma: float, rng: np.random.Generator) -> Frames:
    """Every frame but the first bent by a smooth field of its own, in pixels."""
    bent = [clip[0]]
    for frame in clip[1:]:
        field = [cv2.GaussianBlur(rng.normal(size=frame.shape[:2]), (0, 0), WAVE) for _ in "xy"]
        scale = sigma / max(float(np.std(field)), 1e-9)
        bent.append(_moved(frame, field[0] * scale, field[1] * scale))
    return np.stack(bent)


def _moved(frame: Frames, dx: NDArray[np.floating], dy: NDArray[np.floating]) -> Frames:
    height, width = frame.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    where = ((x + dx).astype(np.float32), (y + dy).astype(np.float32))
    moved = cv2.remap(frame.astype(np.float32), *where, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return _levels(np.asarray(moved, np.float64))


def drops(clip: Frames, share: float, rng: np.random.Generator) -> Frames:
    """A share of the frames, not the first, replaced by the one shown before."""
    shown = np.arange(len(clip))
    count = round(share * (len(clip) - 1))
    for t in sorted(1 + rng.permutation(len(clip) - 1)[:count]):
        shown[t] = shown[t - 1]
    return clip[shown]


def shuffle(clip: Frames, share: float, rng: np.random.Generator) -> Frames:
    """A share of the frames, at least two, changes places among itself."""
    count = max(2, round(share * len(clip)))
    places = np.sort(rng.permutation(len(clip))[:count])
    order = np.arange(len(clip))
    order[places] = np.roll(rng.permutation(places), 1)
    return clip[order]


def flicker(clip: Frames, sigma: float, rng: np.random.Generator) -> Frames:
    """Every frame's brightness, and half as much its tint, moved by its own amount, in levels."""
    offsets = rng.normal(0, sigma, (len(clip), 1)) + rng.normal(0, sigma / 2, (len(clip), 3))
    return _levels(clip.astype(np.float64) + offsets[:, None, None])


def freeze(clip: Frames, share: float, rng: np.random.Generator) -> Frames:
    """The last share of the clip stands still."""
    last = len(clip) - 1 - round(share * (len(clip) - 1))
    return clip[np.minimum(np.arange(len(clip)), last)]


def fade(clip: Frames, share: float, rng: np.random.Generator) -> Frames:
    """A share of the colour taken away."""
    grey = clip @ np.array([0.299, 0.587, 0.114])
    return _levels(clip.astype(np.float64) * (1 - share) + grey[..., None] * share)


def expose(clip: Frames, gain: float, rng: np.random.Generator) -> Frames:
    """Brightness multiplied, cut at white."""
    return _levels(clip.astype(np.float64) * gain)


def untouched(clip: Frames, crf: float, rng: np.random.Generator) -> Frames:
    """For the codec: the writer does it."""
    return clip


DEGRADATIONS: dict[str, Degradation] = {
    "noise": noise,
    "blur": blur,
    "jitter": jitter,
    "drops": drops,
    "shuffle": shuffle,
    "flicker": flicker,
    "freeze": freeze,
    "warp": warp,
    "fade": fade,
    "expose": expose,
    "codec": untouched,
}
