"""`vjepa2`: V-JEPA 2 through transformers, from a local folder or the hub's cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from evals.encoders.base import Encoder, Setup
from evals.encoders.hub import HubModel, locate
from evals.encoders.network import CONFIG, IMAGENET, MODEL, config_of, normalized, transformers
from evals.errors import WeightsError
from evals.video import CenterCrop, SpreadFrames

FRAMES = 16


class VJepa2(Encoder):
    """The mean over the encoder's tokens, of 16 frames spread over the video, short side to 256/224 of the
    network's size (bilinear, antialiased), centre crop, as transformers' processor has it; ImageNet's mean
    and deviation.

    `vjepa2:NAME` is a model of the hub (`weights fetch vjepa2:NAME`); local weights are a folder with
    `config.json` and `model.safetensors`. These features are not V-JEPA 1's: a distance on them is
    `mmd2[vjepa2:…]`, never JEDi. Needs the extra `backbones`. Raises `WeightsError`.
    """

    batch = 2

    frames = SpreadFrames(frames=FRAMES)

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.folder = self.setup.weights or locate(self.published(name))
        config = config_of(self.folder, "vjepa2")
        if not isinstance(config.get("crop_size"), int):
            raise WeightsError(f"{self.folder}: config.json gives no crop_size")
        side = config["crop_size"]
        self.resize = CenterCrop(side=side, short=int(side * 256 / 224), filter="bilinear", rounding="floor")
        mean, std = (list(values) for values in IMAGENET)
        self.spec = self.describe(
            "vjepa2",
            2,
            weights_sha256=self.hashed(self.folder / MODEL),
            config_sha256=self.hashed(self.folder / CONFIG),
            mean=mean,
            std=std,
        )

    @classmethod
    def published(cls, name: str) -> HubModel:
        model = name.partition(":")[2]
        if not model:
            raise WeightsError(
                "vjepa2 needs a model: vjepa2:facebook/vjepa2-vitl-fpc64-256, or --weights vjepa2=FOLDER"
            )
        return HubModel(name, model)

    def _open(self, device: str) -> Any:
        model = transformers("vjepa2").VJEPA2Model
        try:
            found = model.from_pretrained(self.folder, local_files_only=True, dtype=torch.float32)
        except Exception as error:
            raise WeightsError(f"{self.folder}: cannot be loaded: {str(error)[:300]}") from error
        return found.to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        tokens: Tensor = self._network(normalized(windows), skip_predictor=True).last_hidden_state
        return {"features": tokens.mean(1)[:, None]}
