"""`videomae`: VideoMAE V2's ViT-g, the network of the content-debiased FVD (Ge et al. 2024)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evals.encoders.base import Encoder, Setup
from evals.encoders.protocols import protocol_of
from evals.encoders.published import WEIGHTS, WeightFile, locate
from evals.errors import WeightsError

EPSILON = 1e-6

# The authors' names of a block's parts, and transformers'.
_PARTS = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
_BIASES = {"attn.q_bias": "attention.attention.query.bias", "attn.v_bias": "attention.attention.value.bias"}


class VideoMae(Encoder):
    """The mean token after the final norm (1408) of 16 frames of 224 × 224, from 0 to 1.

    `videomae` is `videomae:cd-fvd`: what content-debiased FVD makes of video files. `videomae:cd-fvd-arrays`
    is what it makes of arrays: frames stretched as they are.

    Local weights are the authors' `vit_g_hybrid_pt_1200e_ssv2_ft.pth`, whose hash is checked; without, the
    one that `weights fetch videomae` put into its folder. Needs the extra `backbones`. Raises `WeightsError`.
    """

    batch = 2

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        protocol = protocol_of(name)
        assert protocol is not None
        self.frames, self.resize = self.clip(protocol.frames), protocol.resize
        self.path = locate("videomae", self.setup.weights)
        digest = self.hashed(self.path)
        self.spec = self.describe("videomae", protocol.version, weights_sha256=digest, protocol=protocol.name)

    @classmethod
    def published(cls, name: str) -> WeightFile:
        return WEIGHTS["videomae"]

    def _open(self, device: str) -> Any:
        return load_videomae(self.path).to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        features: Tensor = self._network(windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 255)
        return {"features": features[:, None]}


class MeanToken(nn.Module):
    """transformers' VideoMAE, its tokens averaged and normalized as the authors' classifier does."""

    def __init__(self, trunk: nn.Module, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.fc_norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) from 0 to 1 to (B, width)."""
        pooled: Tensor = self.fc_norm(self.trunk(frames).last_hidden_state.mean(1))
        return pooled


def load_videomae(path: Path, heads: int | None = None, frames: int = 16, size: int = 224) -> MeanToken:
    """The network of the authors' checkpoint. Raises `WeightsError` for another file."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        state = next((state[k] for k in ("module", "model", "state_dict") if k in state), state)
        return convert(state, heads, frames, size)
    except WeightsError:
        raise
    except (OSError, KeyError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: is no VideoMAE V2 checkpoint: {reason:.300}") from None
    except Exception as error:  # noqa: BLE001 - `weights_only` refuses in many ways
        raise WeightsError(f"{path}: cannot be read safely: {str(error).splitlines()[0]:.300}") from None


def convert(state: Mapping[str, Tensor], heads: int | None, frames: int, size: int) -> MeanToken:
    """A network with the weights of a state dict in the authors' naming. Raises `KeyError` or
    `RuntimeError` for what doesn't fit."""
    try:
        from transformers import VideoMAEConfig, VideoMAEModel
    except ImportError:
        raise WeightsError("videomae needs transformers: pip install 't2v-evals[backbones]'") from None
    kernel = state["patch_embed.proj.weight"]
    width, depth = kernel.shape[0], len({k.split(".")[1] for k in state if k.startswith("blocks.")})
    config = VideoMAEConfig(
        image_size=size, patch_size=kernel.shape[-1], num_frames=frames, tubelet_size=kernel.shape[2],
        hidden_size=width, num_hidden_layers=depth,
        num_attention_heads=heads or (16 if width == 1408 else width // 64),
        intermediate_size=state["blocks.0.mlp.fc1.weight"].shape[0], use_mean_pooling=True,
        layer_norm_eps=EPSILON,
    )  # fmt: skip
    network = MeanToken(VideoMAEModel(config), width)
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("head."):
            continue  # the classifier
        if name.startswith("fc_norm."):
            renamed[name] = value
        elif name.startswith("patch_embed.proj."):
            part = name.removeprefix("patch_embed.proj.")
            renamed[f"trunk.embeddings.patch_embeddings.projection.{part}"] = value
        elif match := re.fullmatch(r"blocks\.(\d+)\.(.+)", name):
            layer, rest = f"trunk.encoder.layer.{match[1]}", match[2]
            part, _, kind = rest.rpartition(".")
            if rest == "attn.qkv.weight":
                for which, weight in zip(("query", "key", "value"), value.chunk(3), strict=True):
                    renamed[f"{layer}.attention.attention.{which}.weight"] = weight
            elif rest in _BIASES:
                renamed[f"{layer}.{_BIASES[rest]}"] = value
            else:
                renamed[f"{layer}.{_PARTS[part]}.{kind}"] = value
        else:
            raise KeyError(name)
    network.load_state_dict(renamed)
    return network
