"""How colourful and how bright frames are."""

from __future__ import annotations

import numpy as np

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk


class Colour(FrameExtractor):
    """Per frame: `colorfulness` (Hasler & Süsstrunk 2003, M3), `brightness` (mean luma over 255), and the
    shares of pixels that are `dark` (luma at most 4) or `bright` (at least 251)."""

    spec = Spec(name="colour", version=1)

    def step(self, chunk: Chunk) -> Features:
        found: dict[str, list[float]] = {"colorfulness": [], "brightness": [], "dark": [], "bright": []}
        for frame, grey in zip(chunk.new, chunk.grey[chunk.lead :], strict=True):
            red, green, blue = (frame[..., i].astype(np.int64) for i in range(3))
            # Twice the opponent colours, as integers: exact sums, the same on every machine.
            spread, centre = 0.0, 0.0
            for opponent in (2 * (red - green), red + green - 2 * blue):
                n, total, squares = opponent.size, int(opponent.sum()), int((opponent * opponent).sum())
                spread += (n * squares - total * total) / (4 * n * n)
                centre += total * total / (4 * n * n)
            found["colorfulness"].append(float(np.sqrt(spread) + 0.3 * np.sqrt(centre)))
            found["brightness"].append(int(grey.sum(dtype=np.int64)) / grey.size / 255)
            found["dark"].append(np.count_nonzero(grey <= 4) / grey.size)
            found["bright"].append(np.count_nonzero(grey >= 251) / grey.size)
        return {name: np.array(values, np.float64) for name, values in found.items()}
