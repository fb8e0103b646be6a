"""A model of one's own, for `python:examples/my_model.py:generate`."""

import numpy as np


def generate(prompt, seed, width=256, height=192, frames=16):  # type: ignore[no-untyped-def]
    """Frames (T, H, W, 3) from 0 to 1, or uint8, or torch, or PIL pictures, or the path of a video."""
    rng = np.random.default_rng([seed, len(prompt)])
    sky, drift = rng.random((height, width, 3)), rng.integers(1, 4)
    return np.stack([np.roll(sky, t * drift, axis=1) for t in range(frames)])
