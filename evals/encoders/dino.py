"""DINO, DINOv2 and any other vision transformer of timm, on every frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.decoding.windows import EVERY, Sampling
from evals.encoders.exact import exact
from evals.encoders.network import OnDevice, fill, hub_folder, normalised, state_dict, weights_file
from evals.errors import WeightsError
from evals.records import Spec

MODELS = {"dino": "vit_base_patch16_224.dino", "dinov2": "vit_base_patch14_dinov2.lvd142m"}
SIDE = 224


class Dino(OnDevice):
    """The class token (768 for ViT-B) of every frame, short side to 224 without antialiasing, no crop; right
    and bottom are cut to whole patches. ImageNet's mean and deviation.

    As VBench's subject_consistency sees frames: bilinear on float32, as its code has it. Position
    embeddings are interpolated by timm, which off square gives features about 4 % apart from the authors'.
    `dino` and `dinov2` are ViT-B/16 and ViT-B/14, `timm:NAME` any model of timm with `patchN` in its name,
    from the hub's local cache or a state dict (`--weights`). Raises `WeightsError`.
    """

    batch = 8

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.model = MODELS.get(name, name.removeprefix("timm:"))
        patch = re.search(r"patch(\d+)", self.model)
        if patch is None or not _known(self.model):
            raise WeightsError(f"{name}: timm has no transformer of this name with `patchN` in it")
        given = path or hub_folder(f"timm/{self.model}", name) / "model.safetensors"
        self.path, digest = weights_file(name, given)
        self.sampling = Sampling(
            windows=EVERY, height=SIDE, width=SIDE, resize="short", interpolation="linear",
            multiple=int(patch[1]),
        )  # fmt: skip
        params = {
            "model": self.model,
            "weights_sha256": digest,
            "sampling": self.sampling.to_json(),
            "precision": "fp32",
            "batch": self.batch,
        }
        self.spec = Spec(name="timm", version=1, params=params)

    def _open(self, device: str) -> Any:
        import timm

        network = timm.create_model(self.model, pretrained=False, num_classes=0, dynamic_img_size=True)
        state = state_dict(self.path, self.model)
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
        return fill(network, state, self.path, self.model).to(device).eval()

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        with exact():
            features: Tensor = self._network(normalised(windows).flatten(0, 1))
        return {"features": features.float()[:, None]}


def _known(model: str) -> bool:
    import timm

    return bool(timm.is_model(model))
