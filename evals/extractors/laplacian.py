"""Variance of the Laplacian, the usual focus measure."""

from __future__ import annotations

import cv2
import numpy as np

from evals.extractors import FrameExtractor
from evals.records import Spec
from evals.runs.features import Features
from evals.video import Chunk


class Laplacian(FrameExtractor):
    """Per frame, `variance`: variance of the 4-neighbour Laplacian of 8-bit luma (Pech-Pacheco 2000)."""

    spec = Spec(name="laplacian", version=1)

    def step(self, chunk: Chunk) -> Features:
        values = []
        for grey in chunk.grey[chunk.lead :]:
            edges = cv2.Laplacian(grey, cv2.CV_16S, ksize=1).astype(np.int64)
            # Exact sums: the variance is the same on every machine and for every chunking.
            n = edges.size
            values.append((n * int((edges * edges).sum()) - int(edges.sum()) ** 2) / n**2)
        return {"variance": np.array(values, np.float64)}
