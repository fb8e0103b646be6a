"""A made-up model for tests of the gate: a disc over a textured picture, with noise that its seed does not
fix. `repeat` says which run it is, so that tests are the same every time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FRAMES = 64, 48, 8


def generate(
    prompt: str, seed: int, leak: float = 0.0, blur: float = 0.0, other: int = 0, bistable: bool = False,
    repeat: int = 0,
) -> NDArray[np.uint8]:  # fmt: skip
    """Frames of a prompt and seed. `leak`: noise in levels, new in every run; `blur` in pixels; `other`: as
    good videos that are others; `bistable`: two pictures, one of them by chance."""
    rng = np.random.default_rng([sum(prompt.encode()), seed, other])
    chance = np.random.default_rng([sum(prompt.encode()), seed, repeat, 1])
    back = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2)
    step, level = rng.uniform(1, 3), rng.uniform(0.6, 1.0)
    if bistable and chance.random() < 0.5:
        back = np.roll(back, 1, axis=1)
    clip = []
    for t in range(FRAMES):
        picture = (back * level).astype(np.uint8)
        cv2.circle(picture, (round(8 + t * step), HEIGHT // 2), 6, (250, 60, 20), -1)
        shown = np.asarray(picture + leak * chance.normal(0, 1, picture.shape), np.float64)
        if blur:
            shown = np.asarray(cv2.GaussianBlur(shown, (0, 0), blur), np.float64)
        clip.append(np.clip(shown, 0, 255).astype(np.uint8))
    return np.stack(clip)
