"""`vjepa2`: V-JEPA 2 through transformers, from a local folder or the hub's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.decoding.windows import Sampling
from evals.encoders.exact import exact
from evals.errors import WeightsError
from evals.records import Spec, file_sha256

FRAMES = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VJepa2:
    """The mean over the encoder's tokens, of 16 frames spread over the video, short side to the network's
    size (bicubic, antialiased), centre crop, ImageNet's mean and deviation.

    `vjepa2:NAME` is a model of the hub that is in its local cache (`hf download NAME`); with `path` a folder
    with `config.json` and `model.safetensors`. These features are not V-JEPA 1's: a distance on them is
    `mmd2[vjepa2:…]`, never JEDi. Needs the extra `backbones`. Raises `WeightsError`.
    """

    batch = 2

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.folder = path or _cached(name)
        try:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            side = int(config["crop_size"])
            digest = file_sha256(self.folder / "model.safetensors")
            if config["model_type"] != "vjepa2":
                raise ValueError(f"its model_type is {config['model_type']!r}")
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise WeightsError(
                f"{self.folder}: no V-JEPA 2 model with config.json and model.safetensors ({error})"
            ) from None
        self.sampling = Sampling(windows=1, frames=FRAMES, height=side, width=side, spread=True)
        params = {
            "weights_sha256": digest,
            "sampling": self.sampling.to_json(),
            "mean": list(MEAN),
            "std": list(STD),
            "precision": "fp32",
            "batch": self.batch,
        }
        self.spec = Spec(name="vjepa2", version=1, params=params)

    def load(self, device: str) -> None:
        if getattr(self, "_device", None) == device:
            return
        model = _transformers().VJEPA2Model
        try:
            found = model.from_pretrained(self.folder, local_files_only=True, dtype=torch.float32)
        except Exception as error:
            raise WeightsError(f"{self.folder}: cannot be loaded: {str(error)[:300]}") from error
        self._network, self._device = found.to(device).eval(), device
        shape = (1, 1, 3, 1, 1)
        self._mean, self._std = (torch.tensor(v, device=device).view(shape) for v in (MEAN, STD))

    def unload(self) -> None:
        """Free the network; `load` brings it back."""
        for name in ("_network", "_device", "_mean", "_std"):
            self.__dict__.pop(name, None)

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        frames = (windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 255 - self._mean) / self._std
        with exact():
            tokens: Tensor = self._network(frames, skip_predictor=True).last_hidden_state
        return {"features": tokens.mean(1)[:, None]}


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise WeightsError("vjepa2 needs transformers: pip install 't2v-evals[backbones]'") from None
    return transformers


def _cached(name: str) -> Path:
    """A model's folder in the hub's local cache; nothing is fetched."""
    from huggingface_hub import snapshot_download

    model = name.partition(":")[2]
    if not model:
        raise WeightsError(
            "vjepa2 needs a model: vjepa2:facebook/vjepa2-vitl-fpc64-256, or --weights vjepa2=FOLDER"
        )
    try:
        return Path(snapshot_download(model, local_files_only=True))
    except Exception as error:
        raise WeightsError(f"{model} is not in the hub's cache; `hf download {model}` fetches it") from error
