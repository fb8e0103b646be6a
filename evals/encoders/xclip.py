"""`xclip`: X-CLIP (Ni et al. 2022) through transformers, whose text features depend on the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evals.encoders.base import CrossEncoder, Setup
from evals.encoders.exact import exact
from evals.encoders.hub import HUB_MODELS, HubModel, locate
from evals.encoders.network import CONFIG, MODEL, config_of, normalized, transformers
from evals.errors import DoesNotApply, WeightsError
from evals.runs.features import Features
from evals.video import CenterCrop, SpreadFrames


class XClip(CrossEncoder):
    """Of 8 frames spread over the video (short side to 224 bilinear, centre crop, ImageNet's mean and
    deviation): `features`, the video's (d), and `patches`, the mean over frames of its patches (n, d), which
    a text is compared by.

    `xclip` is `microsoft/xclip-base-patch32`, `xclip:NAME` another model of the hub (`weights fetch`); local
    weights are a folder as transformers saves it, with its tokenizer. Needs the
    extra `backbones`. Raises `WeightsError`.
    """

    batch = 4

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.folder = self.setup.weights or locate(self.published(name))
        config = config_of(self.folder, "xclip")
        vision = config.get("vision_config", {})
        side, frames = int(vision.get("image_size", 224)), int(vision.get("num_frames", 8))
        self.context = int(config.get("text_config", {}).get("max_position_embeddings", 77))
        self.frames = SpreadFrames(frames=frames)
        self.resize = CenterCrop(side=side, filter="bilinear", rounding="floor")
        self.spec = self.describe(
            "xclip",
            2,
            weights_sha256=self.hashed(self.folder / MODEL),
            config_sha256=self.hashed(self.folder / CONFIG),
            context=self.context,
        )
        self._small: Any = None

    @classmethod
    def published(cls, name: str) -> HubModel:
        model = name.partition(":")[2]
        return HubModel(name, model) if model else HUB_MODELS["xclip"]

    def _open(self, device: str) -> Any:
        package = transformers("xclip")
        try:
            network = package.XCLIPModel.from_pretrained(
                self.folder, local_files_only=True, dtype=torch.float32
            )
            self._tokenizer = package.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        except Exception as error:
            raise WeightsError(f"{self.folder}: cannot be loaded: {str(error)[:300]}") from error
        return network.to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        net, frames = self._network, normalized(windows)
        seen = net.vision_model(pixel_values=frames.flatten(0, 1))
        pooled = net.visual_projection(seen.pooler_output).unflatten(0, frames.shape[:2])
        video = net.mit(pooled).pooler_output
        patches = net.prompts_visual_layernorm(seen.last_hidden_state[:, 1:])
        patches = (patches @ net.prompts_visual_projection).unflatten(0, frames.shape[:2]).mean(1)
        return {"features": video[:, None], "patches": patches}

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Features | DoesNotApply]:
        found: list[Features | DoesNotApply] = []
        for text in texts:  # one by one: padding would move last bits
            tokens = self._tokenizer(text, return_tensors="pt")
            ids = tokens.input_ids
            cut = ids.shape[1] > self.context
            if cut:  # the end-of-text token is the one that is read
                ids = torch.cat([ids[:, : self.context - 1], ids[:, -1:]], 1)
            with exact():
                pooled = self._network.text_model(input_ids=ids.to(self._device)).pooler_output
                features = self._network.text_projection(pooled)
            found.append({"features": features.cpu().numpy(), "truncated": np.array([int(cut)], np.int64)})
        return found

    @torch.inference_mode()
    def cross(self, video: Features, text: Features) -> Features:
        """`cosine` (1,) of the video and the text as the video's patches condition it, on the CPU."""
        if self._small is None:
            network = self._network if self._device == "cpu" else self._open("cpu")
            self._small = network.prompts_generator
        words = torch.from_numpy(np.asarray(text["features"], np.float32))[None]
        patches = torch.from_numpy(np.asarray(video["patches"], np.float32))
        with exact():
            words = (words + self._small(words, patches))[0, 0].double()
        seen = torch.from_numpy(np.asarray(video["features"], np.float64)).flatten()
        return {"cosine": torch.nn.functional.cosine_similarity(seen, words, dim=0)[None].numpy()}
