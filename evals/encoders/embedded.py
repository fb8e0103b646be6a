"""`embedded`: the small video and text encoders that ship with the package.

They were trained on the simulated worlds (docs/embedded-encoders.md) and on nothing else. A prompt with a
word that was not in the training set is not encoded, and every video comes with its distance from the
training set. Torch is imported when something is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evals.encoders.base import Setup, TextEncoder
from evals.encoders.embedded_input import FRAMES, HEIGHT, WIDTH, WORDS, split
from evals.errors import DoesNotApply, Reason
from evals.runs.features import Features
from evals.video import SpreadFrames, Stretch

if TYPE_CHECKING:
    from torch import Tensor


class Embedded(TextEncoder):
    """Features of a whole video, and of a text in the same space. fp32, 12 frames spread over the video.

    Local weights are another file of the same networks. Arrays: `features` (1, 1, 160) for distances, each
    dimension of unit variance on the training films; `joint` (1, 1, 128) for the cosine with a text;
    `distance` (1, 1, 1), how far the video is from what the encoder knows, 1 being the limit.
    """

    batch = 8
    frames = SpreadFrames(frames=FRAMES)
    resize = Stretch(height=HEIGHT, width=WIDTH, filter="bilinear")

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.path = self.setup.weights or Path(
            str(resources.files("evals.encoders") / "weights" / "embedded.safetensors")
        )
        self.spec = self.describe("embedded", 1, weights_sha256=self.hashed(self.path))

    def _open(self, device: str) -> Any:
        from evals.encoders.tiny import Networks

        return Networks.load(self.path, device)

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = self._network.encode(windows)
        return found

    def encode_text(self, texts: Sequence[str]) -> list[Features | DoesNotApply]:
        return [self._encoded(split(text)) for text in texts]  # one by one: a batch would move the last bits

    def _encoded(self, words: list[str]) -> Features | DoesNotApply:
        strange = [w for w in dict.fromkeys(words) if w not in self._network.words]
        if strange or not words:
            what = ", ".join(repr(w) for w in strange[:3]) or "a text without words"
            return DoesNotApply(
                f"the embedded text encoder does not know {what}; the `standard` suite's CLIP does",
                Reason.UNKNOWN_WORDS,
            )
        cut = np.array([len(words) > WORDS], np.int64)
        return {"joint": self._network.encode_words(words), "truncated": cut}
