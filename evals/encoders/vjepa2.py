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
from evals.video import CenterCrop, FrameSelection, SlidingWindows, SpreadFrames

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
    family = ("vjepa2", 2)
    frames: FrameSelection = SpreadFrames(frames=FRAMES)

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
            *self.family,
            weights_sha256=self.hashed(self.folder / MODEL),
            config_sha256=self.hashed(self.folder / CONFIG),
            mean=mean,
            std=std,
        )

    @classmethod
    def published(cls, name: str) -> HubModel:
        model = name.partition(":")[2]
        if not model:
            kind = name.partition(":")[0]
            raise WeightsError(
                f"{kind} needs a model: {kind}:facebook/vjepa2-vitl-fpc64-256, or --weights {kind}=FOLDER"
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


class VJepa2Predictor(VJepa2):
    """How far V-JEPA 2's prediction of the next 8 frames from 8 is from what it makes of them: `error` (n, 1,
    1), the mean absolute difference between predicted and encoded tokens, of windows of 16 frames, 2 frames
    apart (the surprise of Garrido et al. 2025, with the windows of WMReward).

    The 8 frames are encoded by themselves, so that nothing of the future is in what predicts it.
    `vjepa2-predictor:NAME` as `vjepa2:NAME`. Needs the extra `backbones`. Raises `WeightsError`."""

    family = ("vjepa2-predictor", 1)
    frames = SlidingWindows(frames=FRAMES, stride=2)

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        pixels = normalized(windows)
        past = self._network.encoder(pixel_values_videos=pixels[:, : FRAMES // 2]).last_hidden_state
        whole = self._network.encoder(pixel_values_videos=pixels).last_hidden_state
        known, all_ = past.shape[1], whole.shape[1]
        places = torch.arange(all_, device=windows.device).repeat(len(windows), 1)
        ahead = self._network.predictor(
            encoder_hidden_states=past, context_mask=[places[:, :known]], target_mask=[places[:, known:]]
        ).last_hidden_state
        return {"error": (ahead - whole[:, known:]).abs().mean((1, 2))[:, None, None]}
