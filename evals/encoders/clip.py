"""CLIP and its relatives through open_clip, by full name and tag or from a local checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg
from torch import Tensor

from evals.decoding.windows import EVERY, Sampling
from evals.encoders.exact import exact
from evals.errors import UnknownName, WeightsError
from evals.features import Rows
from evals.records import Spec, file_sha256

log = logging.getLogger(__name__)

CONFIG = "open_clip_config.json"
_AT_DEFAULT = {"spread", "first", "via", "multiple", "least", "pairs", "drawn"}  # fields no CLIP changes


class OpenClip:
    """Image and text features of an open_clip model, as the model gives them (not normalised).

    `name` is `ARCH/TAG`, on at most 16 frames; `ARCH/TAG:vbench` on every frame, resized as VBench does:
    bicubic without antialiasing, not rounded.

    Without `path`, the tag's published weights are used. `path` is a checkpoint
    of ARCH, or a folder with `open_clip_config.json` and weights, as `open_clip` saves them for a hub;
    the tag is then only a label. Preprocessing is the model's own. fp32 without TF32.
    """

    batch = 16

    def __init__(self, name: str, path: Path | None = None) -> None:
        model, _, protocol = name.partition(":")
        if protocol not in ("", "vbench"):
            raise UnknownName("CLIP protocol", protocol, ["vbench"])
        self.arch, _, self.tag = model.partition("/")
        self._source = f"local-dir:{path}" if path is not None and path.is_dir() else self.arch
        if path is None:
            config, preprocess = _builtin_config(self.arch), _tag_config(self.arch, self.tag)
            self.path = _published_weights(self.arch, self.tag)
        elif path.is_dir():
            config, preprocess, self.path = _folder_config(path)
        elif path.is_file():
            config, preprocess, self.path = _builtin_config(self.arch), {}, path
        else:
            raise WeightsError(f"weights of {name}: {path}: no such file or folder")
        self.preprocess = _preprocess(config, preprocess)
        self.sampling = _sampling(name, self.preprocess)
        if protocol == "vbench":
            every = {"windows": EVERY, "interpolation": "cubic", "resize": "shortest"}
            self.sampling = self.sampling.model_copy(update=every)
        self.context_length = int(config.get("text_cfg", {}).get("context_length", 77))
        self.spec = Spec(
            name="open_clip",
            version=1,
            params={
                "model": self.arch,
                "config": json.loads(json.dumps(config)),
                "weights_sha256": file_sha256(self.path),
                "mean": list(self.preprocess["mean"]),
                "std": list(self.preprocess["std"]),
                "sampling": self.sampling.model_dump(mode="json", exclude=_AT_DEFAULT),
                "precision": "fp32",
                "batch": self.batch,
            },
        )

    def load(self, device: str) -> None:
        if getattr(self, "_device", None) == device:
            return
        local_folder = self._source.startswith("local-dir:")
        try:
            model = open_clip.create_model(
                self._source, pretrained=None if local_folder else str(self.path), weights_only=True
            )
        except Exception as error:
            raise WeightsError(f"{self.path}: cannot be loaded as {self.arch}: {str(error)[:500]}") from error
        used = model.visual.preprocess_cfg
        for key in ("mean", "std", "interpolation", "resize_mode"):
            expected = self.preprocess[key]
            if list(np.atleast_1d(used[key])) != list(np.atleast_1d(expected)):
                raise WeightsError(f"{self.arch}: preprocessing {key} is {used[key]}, expected {expected}")
        self._model = model.to(device).eval()
        self._device = device
        self._tokenizer = open_clip.get_tokenizer(self._source)
        shape = (1, 1, 3, 1, 1)
        self._mean = torch.tensor(self.preprocess["mean"], device=device).view(shape)
        self._std = torch.tensor(self.preprocess["std"], device=device).view(shape)

    def unload(self) -> None:
        """Free the network; `load` brings it back."""
        for name in ("_model", "_device", "_mean", "_std"):
            self.__dict__.pop(name, None)

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Mapping[str, Tensor]:
        images = windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 255
        images = (images - self._mean) / self._std
        with exact():
            features: Tensor = self._model.encode_image(images.flatten(0, 1))
        return {"features": features.float().reshape(*windows.shape[:2], -1)}

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Rows]:
        rows: list[Rows] = []
        for start in range(0, len(texts), self.batch):
            part = list(texts[start : start + self.batch])
            # Always the same batch shape, so that a text's features don't depend on its company.
            tokens = self._tokenizer(part + [""] * (self.batch - len(part))).to(self._device)
            with exact():
                features = self._model.encode_text(tokens).float().cpu().numpy()
            for i, text in enumerate(part):
                cut = np.array([self._token_count(text) > tokens.shape[1]], np.int64)
                rows.append({"features": features[i : i + 1], "truncated": cut})
        return rows

    def _token_count(self, text: str) -> int:
        if hasattr(self._tokenizer, "encode"):
            return len(self._tokenizer.encode(text)) + 2  # start and end
        return len(self._tokenizer.tokenizer(text).input_ids)


def _builtin_config(arch: str) -> dict[str, Any]:
    config = open_clip.get_model_config(arch)
    if config is None:
        raise UnknownName("open_clip model", arch, open_clip.list_models())
    return dict(config)


def _folder_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config, preprocess = data["model_cfg"], data.get("preprocess_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder}: needs a valid {CONFIG} ({error})") from None
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise WeightsError(f"{folder}: holds no checkpoint such as open_clip_model.safetensors")
    return config, preprocess, Path(weights)


def _tag_config(arch: str, tag: str) -> dict[str, Any]:
    config = open_clip.pretrained.get_pretrained_cfg(arch, tag)
    if not config:
        raise UnknownName(
            f"weights tag of {arch}", tag, open_clip.list_pretrained_tags_by_model(arch),
            "; or give a file with --weights",
        )  # fmt: skip
    if bool(config.get("quick_gelu")) != bool(_builtin_config(arch).get("quick_gelu")):
        right = f"{arch}-quickgelu" if config.get("quick_gelu") else arch.removesuffix("-quickgelu")
        raise WeightsError(
            f"{arch}/{tag}: these weights were trained with the other activation; use {right}/{tag}"
        )
    return dict(config)


def _published_weights(arch: str, tag: str) -> Path:
    log.info("looking for the weights of %s/%s, fetching them if they are not cached", arch, tag)
    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    hub.setLevel(logging.ERROR)  # its retries are not the user's; the error below says what matters
    try:
        return Path(open_clip.download_pretrained(_tag_config(arch, tag)))
    except Exception as error:
        raise WeightsError(
            f"the weights of {arch}/{tag} are not cached and could not be fetched"
            f" ({type(error).__name__}); with a connection they are fetched once, or give a file:"
            f" --weights '{arch}/{tag}=PATH'"
        ) from error
    finally:
        hub.setLevel(before)


def _preprocess(config: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    default = PreprocessCfg()
    cfg = {
        key: given.get(key) if given.get(key) is not None else getattr(default, key)
        for key in ("mean", "std", "interpolation", "resize_mode")
    }
    size = config.get("vision_cfg", {}).get("image_size", 224)
    cfg["size"] = tuple(size) if isinstance(size, list | tuple) else (size, size)
    return cfg


def _sampling(name: str, preprocess: dict[str, Any]) -> Sampling:
    height, width = preprocess["size"]
    if preprocess["resize_mode"] not in ("shortest", "squash") or height != width:
        raise WeightsError(
            f"{name}: preprocessing {preprocess['resize_mode']!r} to {width}×{height} is not supported;"
            " only square 'shortest' and 'squash' are"
        )
    return Sampling(
        windows=16,
        height=height,
        width=width,
        resize=preprocess["resize_mode"],
        interpolation=preprocess["interpolation"],
    )
