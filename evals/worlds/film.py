"""A film of a prompt: the scene, a flaw, the pictures, and where everything truly was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evals.errors import UsageError
from evals.records import Prompt
from evals.video import Frames
from evals.worlds.flaws import FLAWS, defect_of, disturb, recast, reorder, spoil
from evals.worlds.physics import LAWFUL
from evals.worlds.render import render, trajectories
from evals.worlds.stage import Scene, generator_of, stage, view_height


@dataclass(frozen=True)
class Film:
    """`frames` pictures of `width` × `height` at `fps`, of a prompt's world with a seed.

    `flaw` is `clean` or a name of `FLAWS`, `strength` from 0 to 1, `noise` the camera's, in grey levels
    (standard deviation). Equal arguments give equal pictures, on the same machine and versions to the
    last bit. Raises `CannotDraw` when the scene is asked for.
    """

    prompt: Prompt
    seed: int
    width: int = 256
    height: int = 256
    frames: int = 24
    fps: float = 12.0
    flaw: str = "clean"
    strength: float = 0.5
    noise: float = 0.0

    def _rng(self, what: str) -> np.random.Generator:
        return generator_of(what, self.flaw, self.prompt.id, self.seed)

    def _level(self, level: str) -> bool:
        return self.flaw != "clean" and FLAWS[self.flaw].level == level

    @cached_property
    def scene(self) -> Scene:
        """The world, with what the flaw does to it."""
        if self.flaw != "clean" and self.flaw not in FLAWS:
            raise UsageError(f"no flaw {self.flaw!r}")
        prompt, defect = self.prompt, LAWFUL
        if self._level("prompt"):
            prompt = recast(prompt, self.strength, self._rng("cast"))
        if self._level("world"):
            defect = defect_of(self.flaw, self.strength, prompt.law)
        aspect = self.width / self.height
        scene = stage(prompt, self.seed, aspect, defect)
        if self._level("scene"):
            width = view_height(aspect) * aspect
            scene = spoil(scene, self.flaw, self.strength, self.frames / self.fps, width, self._rng("spoil"))
        return scene

    @cached_property
    def order(self) -> list[int]:
        """Which frame of the world each frame shows."""
        if self._level("time"):
            return reorder(self.flaw, self.strength, self.frames, self._rng("order"))
        return list(range(self.frames))

    def pictures(self) -> Iterator[Frames]:
        """The frames, (height, width, 3) uint8 RGB."""
        frames = self._seen()
        if self._level("picture"):
            frames = disturb(self.flaw, self.strength, frames, self._rng("disturb"))
        return frames

    def _seen(self) -> Iterator[Frames]:
        """The world's frames in the order shown; a frame shown twice is the same to the last bit."""
        drawn = sorted(set(self.order))
        last = {k: place for place, k in enumerate(self.order)}
        kept: dict[int, Frames] = {}
        source = zip(
            drawn, render(self.scene, [k / self.fps for k in drawn], self.width, self.height), strict=True
        )
        for place, k in enumerate(self.order):
            while k not in kept:
                number, frame = next(source)
                kept[number] = self._noisy(frame, number)
            yield kept[k]
            if last[k] == place:
                del kept[k]

    def _noisy(self, frame: Frames, number: int) -> Frames:
        if not self.noise:
            return frame
        rng = generator_of("noise", self.prompt.id, self.seed, number)
        return np.rint(np.clip(frame + rng.normal(0, self.noise, frame.shape), 0, 255)).astype(np.uint8)

    def trajectories(self) -> dict[str, dict[str, Any]]:
        """Where every actor is in each frame shown; see `render.trajectories`."""
        return trajectories(self.scene, [k / self.fps for k in self.order], self.width, self.height)
