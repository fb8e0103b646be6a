"""DINO, DINOv2 and any other vision transformer of timm, on every frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from evals.encoders.base import Encoder, Setup
from evals.encoders.hub import HUB_MODELS, HubModel, locate
from evals.encoders.network import fill, normalized, state_dict
from evals.errors import WeightsError
from evals.video import EVERY_FRAME, ShortSide

MODELS = {"dino": "vit_base_patch16_224.dino", "dinov2": "vit_base_patch14_dinov2.lvd142m"}
SIDE = 224
OFFSET = 0.1  # patches: the authors' guard against a grid that is one too small


class Dino(Encoder):
    """The class token (768 for ViT-B) of every frame, short side to 224 without antialiasing, no crop; right
    and bottom are cut to whole patches. ImageNet's mean and deviation.

    As VBench's subject_consistency sees frames: bilinear on float32, as its code has it. `dino` and `dinov2`
    interpolate position embeddings as their authors do (`position_embeddings`), other models as timm does.
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
        self.frames, self.patch = EVERY_FRAME, int(patch[1])
        # The authors' code asks whether the picture is square before its edges are cut to whole patches.
        multiple = 1 if name in MODELS else self.patch
        self.resize = ShortSide(side=SIDE, filter="linear", multiple=multiple)
        self.of_meta = name in MODELS
        how = {"position_embeddings": "authors"} if self.of_meta else {}
        version = 2 if self.of_meta else 1
        self.spec = self.describe("timm", version, model=self.model, weights_sha256=digest, **how)

    @classmethod
    def published(cls, name: str) -> HubModel:
        return HUB_MODELS.get(name, HubModel(name, f"timm/{name.removeprefix('timm:')}"))

    def _open(self, device: str) -> Any:
        import timm

        network = timm.create_model(self.model, pretrained=False, num_classes=0, dynamic_img_size=True)
        state = state_dict(self.path, self.model)
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
        if self.of_meta:
            setattr(network, "_pos_embed", MethodType(_with_positions, network))  # noqa: B010
        return fill(network, state, self.path, self.model).to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        frames = normalized(windows).flatten(0, 1)
        height, width = frames.shape[-2:]
        self._network.is_square = height == width
        whole = frames[..., : height - height % self.patch, : width - width % self.patch]
        features: Tensor = self._network(whole)
        return {"features": features.float()[:, None]}


def position_embeddings(learnt: Tensor, side: int, rows: int, columns: int, is_square: bool) -> Tensor:
    """Embeddings (1, 1 + rows·columns, d) for a grid of patches from those learnt on `side` × `side`; the
    picture `is_square` before its edges are cut to whole patches.

    As DINO and DINOv2 have it: bicubic, scaled by (n + 0.1)/side, not antialiased, the class token's kept.
    """
    if rows == columns == side and is_square:
        return learnt
    token, patches = learnt[:, :1], learnt[:, 1:]
    grid = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + OFFSET) / side, (columns + OFFSET) / side)
    found = functional.interpolate(grid, scale_factor=scale, mode="bicubic", align_corners=False)
    return torch.cat([token, found.flatten(2).transpose(1, 2)], 1)


def _with_positions(network: Any, x: Tensor) -> Tensor:
    """timm's `_pos_embed` of patches (B, rows, columns, d), with the authors' interpolation."""
    rows, columns = x.shape[1:3]
    side = network.patch_embed.grid_size[0]
    positions = position_embeddings(network.pos_embed, side, rows, columns, network.is_square)
    tokens = torch.cat([network.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1)
    shifted: Tensor = network.pos_drop(tokens + positions)
    return shifted


def _known(model: str) -> bool:
    import timm

    return bool(timm.is_model(model))
