"""DINO, DINOv2 and any other vision transformer of timm, on every frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from evals.encoders.base import Encoder, Setup
from evals.encoders.hub import HUB_MODELS, HubModel, locate
from evals.encoders.network import fill, normalized, state_dict
from evals.errors import WeightsError
from evals.video import EVERY_FRAME, ShortSide

MODELS = {"dino": "vit_base_patch16_224.dino", "dinov2": "vit_base_patch14_dinov2.lvd142m"}
SIDE = 224


class Dino(Encoder):
    """The class token (768 for ViT-B) of every frame, short side to 224 without antialiasing, no crop; right
    and bottom are cut to whole patches. ImageNet's mean and deviation.

    As VBench's subject_consistency sees frames: bilinear on float32, as its code has it. Position
    embeddings are interpolated by timm, which off square gives features about 4 % apart from the authors'.
    `dino` and `dinov2` are ViT-B/16 and ViT-B/14, `timm:NAME` any model of timm with `patchN` in its name,
    from the hub's cache (`weights fetch`) or a state dict (`--weights`). Raises `WeightsError`.
    """

    batch = 8

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.model = MODELS.get(name, name.removeprefix("timm:"))
        patch = re.search(r"patch(\d+)", self.model)
        if patch is None or not _known(self.model):
            raise WeightsError(f"{name}: timm has no transformer of this name with `patchN` in it")
        given = self.setup.weights or locate(self.published(name)) / "model.safetensors"
        self.path, digest = given, self.hashed(given)
        self.frames = EVERY_FRAME
        self.resize = ShortSide(side=SIDE, filter="linear", multiple=int(patch[1]))
        self.spec = self.describe("timm", 1, model=self.model, weights_sha256=digest)

    @classmethod
    def published(cls, name: str) -> HubModel:
        return HUB_MODELS.get(name, HubModel(name, f"timm/{name.removeprefix('timm:')}"))

    def _open(self, device: str) -> Any:
        import timm

        network = timm.create_model(self.model, pretrained=False, num_classes=0, dynamic_img_size=True)
        state = state_dict(self.path, self.model)
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
        return fill(network, state, self.path, self.model).to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        features: Tensor = self._network(normalized(windows).flatten(0, 1))
        return {"features": features.float()[:, None]}


def _known(model: str) -> bool:
    import timm

    return bool(timm.is_model(model))
