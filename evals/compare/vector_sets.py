"""The feature vectors of one side of a distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Vectors:
    """Feature vectors (d,) of a side's videos, each with its prompt's id, category and video, and the keys
    of its features; how many of the `videos` are out of domain."""

    rows: list[NDArray[np.float64]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    outside: int = 0
    videos: int = 0

    def only(self, places: Sequence[int]) -> Vectors:
        """The rows at some places."""
        return Vectors(
            [self.rows[i] for i in places],
            [self.prompts[i] for i in places],
            [self.categories[i] for i in places],
            [self.hashes[i] for i in places],
            self.keys,
            self.outside,
            self.videos,
        )
