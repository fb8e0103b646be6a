"""`vjepa2`: V-JEPA 2 through transformers, from a local folder or the hub's cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.decoding.windows import Sampling
from evals.encoders.exact import exact
from evals.encoders.network import IMAGENET, OnDevice, config_of, hub_folder, normalised, transformers
from evals.errors import WeightsError
from evals.records import Spec

FRAMES = 16


class VJepa2(OnDevice):
    """The mean over the encoder's tokens, of 16 frames spread over the video, short side to the network's
    size (bicubic, antialiased), centre crop, ImageNet's mean and deviation.

    `vjepa2:NAME` is a model of the hub that is in its local cache (`hf download NAME`); with `path` a folder
    with `config.json` and `model.safetensors`. These features are not V-JEPA 1's: a distance on them is
    `mmd2[vjepa2:…]`, never JEDi. Needs the extra `backbones`. Raises `WeightsError`.
    """

    batch = 2

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.folder = path or _cached(name)
        config, digest = config_of(self.folder, "vjepa2")
        if not isinstance(config.get("crop_size"), int):
            raise WeightsError(f"{self.folder}: config.json gives no crop_size")
        side = config["crop_size"]
        self.sampling = Sampling(windows=1, frames=FRAMES, height=side, width=side, spread=True)
        params = {
            "weights_sha256": digest,
            "sampling": self.sampling.to_json(),
            "mean": list(IMAGENET[0]),
            "std": list(IMAGENET[1]),
            "precision": "fp32",
            "batch": self.batch,
        }
        self.spec = Spec(name="vjepa2", version=1, params=params)

    def _open(self, device: str) -> Any:
        model = transformers("vjepa2").VJEPA2Model
        try:
            found = model.from_pretrained(self.folder, local_files_only=True, dtype=torch.float32)
        except Exception as error:
            raise WeightsError(f"{self.folder}: cannot be loaded: {str(error)[:300]}") from error
        return found.to(device).eval()

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        with exact():
            tokens: Tensor = self._network(normalised(windows), skip_predictor=True).last_hidden_state
        return {"features": tokens.mean(1)[:, None]}


def _cached(name: str) -> Path:
    model = name.partition(":")[2]
    if not model:
        raise WeightsError(
            "vjepa2 needs a model: vjepa2:facebook/vjepa2-vitl-fpc64-256, or --weights vjepa2=FOLDER"
        )
    return hub_folder(model, name)
