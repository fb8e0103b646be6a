"""CLIP and its relatives through open_clip, by full name and tag or from a local checkpoint.

open_clip itself takes seconds to import and is loaded where a model is built.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evals.encoders.base import Setup, TextEncoder
from evals.encoders.exact import exact
from evals.encoders.hub import CLIP_FILES, HUB_MODELS, HubModel, locate
from evals.errors import DoesNotApply, UnknownName, WeightsError
from evals.runs.features import Features
from evals.video import CenterCrop, Resize, SpacedWindows, Stretch

CONFIG, CHECKPOINT = CLIP_FILES
# The order in which open_clip looks for a checkpoint in a folder.
PREFERRED = (
    CHECKPOINT, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's training images: what a model has that says nothing else."""


class OpenClip(TextEncoder):
    """Image and text features of an open_clip model, as the model gives them (not normalized).

    `name` is `ARCH/TAG`, on at most 16 frames; `ARCH/TAG:vbench` on every frame, resized as VBench does:
    bicubic without antialiasing, not rounded.

    Without local weights, those that `weights fetch ARCH/TAG` put into the hub's cache are used. Local
    weights are a checkpoint of ARCH, or a folder with `open_clip_config.json` and weights, as open_clip saves
    them for a hub; the tag is then only a label. Preprocessing is the model's own. Raises `WeightsError`."""

    batch = 16

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        model, _, protocol = name.partition(":")
        if protocol not in ("", "vbench"):
            raise UnknownName("CLIP protocol", protocol, ["vbench"])
        self.arch, _, self.tag = model.partition("/")
        self._source = self.arch
        given = self.setup.weights
        stated: dict[str, Any] = {}
        if given is None:
            folder = locate(self.published(name))
            _, stated, self.path = _folder_config(folder)
            config = _architecture(self.arch)
        elif given.is_dir():
            config, stated, self.path = _folder_config(given)
            self._source = f"local-dir:{given}"
        elif given.is_file():
            config, self.path = _architecture(self.arch), given
        else:
            raise WeightsError(f"weights of {name}: {given}: no such file or folder")
        self.preprocess = _preprocess(config, stated)
        every = protocol == "vbench"
        self.frames = SpacedWindows(most=None if every else 16)
        self.resize = _resize(name, self.preprocess, every)
        self.context_length = int(config.get("text_cfg", {}).get("context_length", 77))
        self.spec = self.describe(
            "open_clip", 1,
            model=self.arch,
            config=json.loads(json.dumps(config)),
            weights_sha256=self.hashed(self.path),
            mean=list(self.preprocess["mean"]),
            std=list(self.preprocess["std"]),
        )  # fmt: skip

    @classmethod
    def published(cls, name: str) -> HubModel:
        """Where the weights of a tag are published. Raises `UnknownName`, or `WeightsError` for an
        architecture with another activation than they were trained with."""
        model = name.partition(":")[0]
        arch, _, tag = model.partition("/")
        return HUB_MODELS[model] if model in HUB_MODELS else _tagged(arch, tag)

    def _open(self, device: str) -> Any:
        import open_clip

        local_folder = self._source.startswith("local-dir:")
        try:
            model = open_clip.create_model(
                self._source, pretrained=None if local_folder else str(self.path), weights_only=True
            )
        except Exception as error:
            raise WeightsError(f"{self.path}: cannot be loaded as {self.arch}: {str(error)[:500]}") from error
        if local_folder:  # a checkpoint alone says nothing of its preprocessing
            used = model.visual.preprocess_cfg
            for key in ("mean", "std", "interpolation", "resize_mode"):
                expected = self.preprocess[key]
                if list(np.atleast_1d(used[key])) != list(np.atleast_1d(expected)):
                    raise WeightsError(
                        f"{self.arch}: preprocessing {key} is {used[key]}, expected {expected}"
                    )
        self._tokenizer = open_clip.get_tokenizer(self._source)
        shape = (1, 1, 3, 1, 1)
        self._mean = torch.tensor(self.preprocess["mean"], device=device).view(shape)
        self._std = torch.tensor(self.preprocess["std"], device=device).view(shape)
        return model.to(device).eval()

    def forward(self, windows: Tensor) -> Mapping[str, Tensor]:
        images = windows.permute(0, 1, 4, 2, 3).to(torch.float32) / 255
        images = (images - self._mean) / self._std
        features: Tensor = self._network.encode_image(images.flatten(0, 1))
        return {"features": features.float().reshape(*windows.shape[:2], -1)}

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> list[Features | DoesNotApply]:
        found: list[Features | DoesNotApply] = []
        for start in range(0, len(texts), self.batch):
            part = list(texts[start : start + self.batch])
            # Always the same batch shape, so that a text's features don't depend on the others.
            tokens = self._tokenizer(part + [""] * (self.batch - len(part))).to(self._device)
            with exact():
                features = self._network.encode_text(tokens).float().cpu().numpy()
            for i, text in enumerate(part):
                cut = np.array([self._token_count(text) > tokens.shape[1]], np.int64)
                found.append({"features": features[i : i + 1], "truncated": cut})
        return found

    def _token_count(self, text: str) -> int:
        if hasattr(self._tokenizer, "encode"):
            return len(self._tokenizer.encode(text)) + 2  # start and end
        return len(self._tokenizer.tokenizer(text).input_ids)


def _tagged(arch: str, tag: str) -> HubModel:
    """Where open_clip says that the weights of a tag are published."""
    config = _architecture(arch)
    import open_clip

    known = open_clip.pretrained.get_pretrained_cfg(arch, tag)
    if not known:
        raise UnknownName(
            f"weights tag of {arch}", tag, open_clip.list_pretrained_tags_by_model(arch),
            "; or give a file with --weights",
        )  # fmt: skip
    if bool(known.get("quick_gelu")) != bool(config.get("quick_gelu")):
        right = f"{arch}-quickgelu" if known.get("quick_gelu") else arch.removesuffix("-quickgelu")
        raise WeightsError(
            f"{arch}/{tag}: these weights were trained with the other activation; use {right}/{tag}"
        )
    repo, _, file = str(known.get("hf_hub", "")).rpartition("/")
    if not repo or file:
        raise WeightsError(f"{arch}/{tag} is not published as a model of the hub; give a file with --weights")
    return HubModel(f"{arch}/{tag}", repo, CLIP_FILES)


def _architecture(arch: str) -> dict[str, Any]:
    """An architecture's configuration, from open_clip's files and without importing it."""
    package = importlib.util.find_spec("open_clip")
    folders = list(package.submodule_search_locations or ()) if package else []
    files = {p.stem: p for f in folders for p in (Path(f) / "model_configs").glob("*.json")}
    if arch not in files:
        raise UnknownName("open_clip model", arch, files)
    return dict(json.loads(files[arch].read_text(encoding="utf-8")))


def _folder_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config, preprocess = data["model_cfg"], data.get("preprocess_cfg", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder}: needs a valid {CONFIG} ({error})") from None
    there = {p.name: p for kind in ("*.safetensors", "*.bin", "*.pth") for p in sorted(folder.glob(kind))}
    if not there:
        raise WeightsError(f"{folder}: holds no checkpoint such as {CHECKPOINT}")
    name = next((n for n in PREFERRED if n in there), next(iter(there)))
    return config, preprocess, there[name]


def _preprocess(config: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    default = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    found = {key: value if given.get(key) is None else given[key] for key, value in default.items()}
    size = config.get("vision_cfg", {}).get("image_size", 224)
    found["size"] = tuple(size) if isinstance(size, list | tuple) else (size, size)
    return found


def _resize(name: str, preprocess: dict[str, Any], vbench: bool) -> Resize:
    height, width = preprocess["size"]
    mode = preprocess["resize_mode"]
    if mode not in ("shortest", "squash") or height != width:
        raise WeightsError(
            f"{name}: preprocessing {mode!r} to {width}×{height} is not supported; only square 'shortest' and"
            " 'squash' are"
        )
    if vbench:
        return CenterCrop(side=height, filter="cubic")
    if mode == "squash":
        return Stretch(height=height, width=width, filter=preprocess["interpolation"])
    return CenterCrop(side=height, filter=preprocess["interpolation"])
