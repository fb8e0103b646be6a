"""LPIPS between neighbouring frames, through torchmetrics' network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.encoders.base import Encoder, Setup
from evals.encoders.network import fill, state_dict
from evals.encoders.published import WEIGHTS, WeightFile, locate
from evals.errors import WeightsError
from evals.video import Bounded, SpacedWindows


class Lpips(Encoder):
    """`lpips` of every two neighbouring frames: AlexNet trunk, the linear heads of version 0.1 (which come
    with torchmetrics), inputs in [-1, 1], at a short side from 64 to 256 pixels.

    The trunk is torchvision's (`weights fetch alexnet`, 233 MB, or `--weights lpips-alex=PATH`). Raises
    `WeightsError`. Source: Zhang et al. 2018.
    """

    batch = 8
    frames = SpacedWindows(most=None, frames=2)
    resize = Bounded(most=256, least=64)

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.path = self.setup.weights or locate("alexnet")
        digest = self.hashed(self.path)
        self.spec = self.describe("lpips", 1, trunk="alexnet", heads="0.1", weights_sha256=digest)

    @classmethod
    def published(cls, name: str) -> WeightFile:
        return WEIGHTS["alexnet"]

    def _open(self, device: str) -> Any:
        return lpips_network(self.path).to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        frames = windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 127.5 - 1
        found: Tensor = self._network(frames[:, 0], frames[:, 1])
        return {"lpips": found.float().reshape(-1, 1, 1)}


def lpips_network(path: Path) -> torch.nn.Module:
    """torchmetrics' LPIPS with a trunk from torchvision's AlexNet file, not from a download."""
    from torchmetrics.functional.image.lpips import _LPIPS

    state = state_dict(path, "AlexNet")
    network = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    trunk = {}
    for name in network.net.state_dict():
        _, layer, kind = name.split(".")  # slice2.3.weight is torchvision's features.3.weight
        if f"features.{layer}.{kind}" not in state:
            raise WeightsError(f"{path}: is no AlexNet of torchvision's: it lacks features.{layer}.{kind}")
        trunk[name] = state[f"features.{layer}.{kind}"]
    fill(network.net, trunk, path, "AlexNet")
    return network
