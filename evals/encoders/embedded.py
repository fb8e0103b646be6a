"""`embedded`: the small video and text encoders that ship with the package.

They were trained on the simulated worlds (docs/embedded-encoders.md) and know nothing else. A prompt
with a word they never met is not encoded, and every video comes with whether it lies outside of what
they have seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from evals.decoding.windows import Sampling
from evals.encoders.tiny import FRAMES, HEIGHT, WIDTH, WORDS, TextNet, VideoNet, split
from evals.errors import DoesNotApply, WeightsError
from evals.features import Rows
from evals.records import Spec, file_sha256

SAMPLING = Sampling(
    windows=1, frames=FRAMES, height=HEIGHT, width=WIDTH, resize="squash", interpolation="bilinear", spread=True
)


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
        self.spec = Spec(
            name="embedded",
            version=1,
            params={
                "weights_sha256": digest,
                "sampling": self.sampling.to_json(),
                "precision": "fp32",
                "batch": self.batch,
            },
        )

    def load(self, device: str) -> None:
        if getattr(self, "_device", None) == device:
            return
        try:
            with safe_open(str(self.path), "pt") as file:
                words = json.loads((file.metadata() or {})["words"])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            video, text = VideoNet(), TextNet(len(words))
            for prefix, net in (("video.", video), ("text.", text)):
                state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
                lacks = net.load_state_dict(state, strict=False)
                left = [k for k in lacks.missing_keys if not k.endswith("num_batches_tracked")]
                if left or lacks.unexpected_keys:
                    raise KeyError(*left, *lacks.unexpected_keys)
            self._domain = {k.removeprefix("domain."): v.to(device) for k, v in tensors.items() if k.startswith("domain.")}
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise WeightsError(f"{self.path}: not the weights of the embedded encoders: {str(error)[:300]}") from None
        self._video, self._text = video.to(device).eval(), text.to(device).eval()
        self._words = {word: i + 1 for i, word in enumerate(words)}
        self._device = device

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        with torch.backends.cudnn.flags(allow_tf32=False):
            features, joint, levels = self._video(windows)
        far = _distance(torch.cat([levels, features], 1), self._domain)
        return {"features": features[:, None], "joint": joint[:, None], "distance": far[:, None, None]}

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Rows | DoesNotApply]:
        rows: list[Rows | DoesNotApply] = []
        for text in texts:  # one by one: a text's features don't depend on its company
            strange = [w for w in dict.fromkeys(split(text)) if w not in self._words]
            if strange or not split(text):
                what = ", ".join(repr(w) for w in strange[:3]) or "a text without words"
                rows.append(
                    DoesNotApply(f"the embedded text encoder does not know {what}; the `standard` suite's CLIP does")
                )
                continue
            tokens = numbers(text, self._words)[None].to(self._device)
            cut = np.array([len(split(text)) > WORDS], np.int64)
            rows.append({"joint": self._text(tokens).cpu().numpy(), "truncated": cut})
        return rows


def numbers(text: str, words: Mapping[str, int]) -> Tensor:
    """Word numbers (40,) of a text whose words are known; 0 after its end."""
    found = torch.zeros(WORDS, dtype=torch.int64)
    for i, word in enumerate(split(text)[:WORDS]):
        found[i] = words[word]
    return found


def domain_statistics(video: VideoNet, films: Tensor) -> NDArray[np.float32]:
    """What the distance from the training films is measured on: (n, d) for films (n, 12, 64, 80, 3)."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(films), 32):
            features, _, levels = video.eval()(films[start : start + 32])
            found.append(torch.cat([levels, features], 1).numpy())
    return np.concatenate(found)


def fit_domain(seen: NDArray[np.float32], held: NDArray[np.float32]) -> dict[str, Any]:
    """A Gaussian around the films seen (shrunk covariance), and as the limit 1.25 times the distance
    that 99 % of films held out, half of them flawed, keep."""
    mean, std = seen.mean(0), seen.std(0) + 1e-3
    z = (seen - mean) / std
    covariance = 0.9 * np.cov(z.T) + 0.1 * np.eye(z.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    whiten = (vectors / np.sqrt(values)) / std[:, None]
    domain = {"mean": mean, "whiten": whiten.astype(np.float32), "limit": np.ones(1, np.float32)}
    tensors = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in domain.items()}
    far = _distance(torch.from_numpy(held), tensors).numpy()
    domain["limit"] = np.array([1.25 * np.quantile(far, 0.99)], np.float32)
    return domain


def _distance(statistics: Tensor, domain: Mapping[str, Tensor]) -> Tensor:
    """Mahalanobis distance per dimension, in units of the limit."""
    z = (statistics - domain["mean"]) @ domain["whiten"]
    found: Tensor = z.square().mean(1).sqrt() / domain["limit"]
    return found
