"""`embedded`: the small video and text encoders that ship with the package.

They were trained on the simulated worlds (docs/embedded-encoders.md) and know nothing else. A prompt
with a word they never met is not encoded, and every video comes with whether it lies outside of what
they have seen. Torch is imported when something is encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evals.decoding.windows import Sampling
from evals.errors import DoesNotApply, WeightsError
from evals.features import Rows
from evals.records import Spec, file_sha256

if TYPE_CHECKING:
    from torch import Tensor

SAMPLING = Sampling(
    windows=1, frames=12, height=64, width=80, resize="squash", interpolation="bilinear", spread=True
)
WORDS = 40


class Embedded:
    """Features of a whole video, and of a text in the same space. fp32, 12 frames spread over the video.

    `path` is another weight file of the same networks. Rows: `features` (1, 1, 160) for distances, each
    dimension of unit variance on the training films; `joint` (1, 1, 128) for the cosine with a text;
    `distance` (1, 1, 1), how far the video is from what the encoder knows, 1 being the limit.
    """

    batch = 8
    sampling = SAMPLING

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.path = path or Path(str(resources.files("evals.encoders") / "weights" / "embedded.safetensors"))
        try:
            digest = file_sha256(self.path)
        except OSError as error:
            raise WeightsError(f"{name}: {self.path}: {error.strerror}") from None
        params = {
            "weights_sha256": digest,
            "sampling": self.sampling.to_json(),
            "precision": "fp32",
            "batch": self.batch,
        }
        self.spec = Spec(name="embedded", version=1, params=params)

    def load(self, device: str) -> None:
        from evals.encoders.tiny import Networks

        if getattr(self, "_device", None) != device:
            self._networks, self._device = Networks.load(self.path, device), device

    def unload(self) -> None:
        """Free the networks; `load` brings them back."""
        for name in ("_networks", "_device"):
            self.__dict__.pop(name, None)

    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        return self._networks.see(windows)

    def encode_text(self, texts: Sequence[str]) -> list[Rows | DoesNotApply]:
        return [self._read(split(text)) for text in texts]  # one by one: company would show in the last bits

    def _read(self, words: list[str]) -> Rows | DoesNotApply:
        strange = [w for w in dict.fromkeys(words) if w not in self._networks.words]
        if strange or not words:
            what = ", ".join(repr(w) for w in strange[:3]) or "a text without words"
            return DoesNotApply(
                f"the embedded text encoder does not know {what}; the `standard` suite's CLIP does"
            )
        cut = np.array([len(words) > WORDS], np.int64)
        return {"joint": self._networks.read(words), "truncated": cut}


def split(text: str) -> list[str]:
    """The words of a text as this encoder reads them: lower case, letters and digits."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'s", ""))
