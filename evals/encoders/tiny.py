"""The networks of the embedded encoders: small enough for a CPU and for the package.

A video is 12 frames of 64 × 80, spread over its length. Strided 2-D convolutions see each frame,
1-D ones along time join them, a perceptron reads the sequence. A text is a sequence of known words
through a two-layer transformer. Both meet in one space, trained contrastively as in CLIP (Radford et
al. 2021).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from evals.encoders.embedded_input import FRAMES, HEIGHT, WIDTH, WORDS
from evals.encoders.exact import exact
from evals.errors import WeightsError

FEATURES, JOINT = 160, 128
_CHANNELS = (24, 48, 96, 160)


class _Time(nn.Module):
    """Joins neighbouring frames: a residual convolution along time, per place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        count, channels, height, width = x.shape
        series = x.reshape(-1, frames, channels, height * width).permute(0, 3, 2, 1)
        series = series.reshape(-1, channels, frames)
        mixed = torch.relu(self.norm(self.mix(series)))
        mixed = mixed.reshape(-1, height * width, channels, frames).permute(0, 3, 2, 1)
        return x + mixed.reshape(count, channels, height, width)


class VideoNet(nn.Module):
    """uint8 (B, 12, 64, 80, 3) to features (B, 160), joint (B, 128) and low-level statistics (B, 336)."""

    def __init__(self) -> None:
        super().__init__()
        sizes, ins = (5, 3, 3, 3), (5, *_CHANNELS[:-1])
        self.space = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, k, stride=2, padding=k // 2, bias=False),
                nn.BatchNorm2d(o),
                nn.ReLU(inplace=True),
            )
            for i, o, k in zip(ins, _CHANNELS, sizes, strict=True)
        )
        self.time = nn.ModuleDict({"2": _Time(_CHANNELS[2]), "3": _Time(_CHANNELS[3])})
        self.frame = nn.Sequential(nn.Linear(_CHANNELS[3] * 2, 96), nn.ReLU(inplace=True))
        self.sequence = nn.Sequential(
            nn.Linear(96 * FRAMES, 256), nn.ReLU(inplace=True), nn.Linear(256, FEATURES)
        )
        self.norm = nn.BatchNorm1d(FEATURES, affine=False)
        self.joint = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, JOINT))
        y, x = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
        self.register_buffer("place", torch.stack([x, y])[None], persistent=False)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        frames = windows.shape[1]
        x = windows.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
        place: Tensor = self.get_buffer("place")
        x = torch.cat([x, place.expand(len(x), -1, -1, -1)], 1)
        levels = []
        for number, stage in enumerate(self.space):
            x = stage(x)
            if number < 3:
                flat = x.reshape(-1, frames, x.shape[1], x.shape[2] * x.shape[3])
                levels += [flat.mean((1, 3)), flat.std((1, 3))]
            if str(number) in self.time:
                x = self.time[str(number)](x, frames)
        seen = self.frame(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))
        features: Tensor = self.norm(self.sequence(seen.reshape(-1, frames * 96)))
        return features, self.joint(features), torch.cat(levels, 1)


class TextNet(nn.Module):
    """Word numbers (B, 40), 0 where there are none, to joint (B, 128)."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words + 1, JOINT, padding_idx=0)
        self.places = nn.Parameter(torch.zeros(WORDS, JOINT))
        layer = nn.TransformerEncoderLayer(JOINT, 4, 256, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(JOINT, JOINT)

    def forward(self, words: Tensor) -> Tensor:
        there = words > 0
        x = self.layers(self.words(words) + self.places, src_key_padding_mask=~there)
        weight = there[..., None].to(x.dtype)
        pooled: Tensor = self.out((x * weight).sum(1) / weight.sum(1).clamp(min=1))
        return pooled


class Networks:
    """Both networks and the domain they know, from a file, on a device."""

    def __init__(
        self, video: VideoNet, text: TextNet, words: Sequence[str], domain: Mapping[str, Tensor]
    ) -> None:
        self._video, self._text, self._domain = video, text, domain
        self._device = domain["mean"].device
        self.words = {word: i + 1 for i, word in enumerate(words)}

    @classmethod
    def load(cls, path: Path, device: str) -> Networks:
        """Raises `WeightsError` for anything but this version's weights."""
        try:
            with safe_open(str(path), "pt") as file:
                words = json.loads((file.metadata() or {})["words"])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            video, text = VideoNet(), TextNet(len(words))
            for prefix, net in (("video.", video), ("text.", text)):
                found = net.load_state_dict(_part(tensors, prefix), strict=False)
                lacks = [k for k in found.missing_keys if not k.endswith("num_batches_tracked")]
                if lacks or found.unexpected_keys:
                    raise KeyError(*lacks, *found.unexpected_keys)
            domain = {k: v.to(device) for k, v in _part(tensors, "domain.").items()}
            return cls(video.to(device).eval(), text.to(device).eval(), words, domain)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error)[:300]
            raise WeightsError(f"{path}: not the weights of the embedded encoders: {reason}") from None

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> dict[str, Tensor]:
        """Features of uint8 windows (B, 12, 64, 80, 3)."""
        with exact():
            features, joint, levels = self._video(windows)
        far = domain_distance(_logarithms(levels), self._domain)
        return {"features": features[:, None], "joint": joint[:, None], "distance": far[:, None, None]}

    @torch.inference_mode()
    def encode_words(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The joint feature (1, 128) of a text whose words are all known."""
        tokens = numbers(words, self.words)[None].to(self._device)
        return np.asarray(self._text(tokens).cpu().numpy(), np.float32)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def numbers(words: Sequence[str], known: Mapping[str, int]) -> Tensor:
    """Word numbers (40,) of known words; 0 after the last."""
    found = torch.zeros(WORDS, dtype=torch.int64)
    for i, word in enumerate(words[:WORDS]):
        found[i] = known[word]
    return found


def domain_statistics(video: VideoNet, films: Tensor) -> NDArray[np.float32]:
    """What the distance from the training films is measured on, (n, 336), for films (n, 12, 64, 80, 3):
    logarithms of how strongly, and how variedly, the lower layers respond."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(films), 32):
            found.append(_logarithms(video.eval()(films[start : start + 32])[2]).numpy())
    return np.concatenate(found)


def _logarithms(levels: Tensor) -> Tensor:
    return (levels.abs() + 0.01).log()


def fit_domain(seen: NDArray[np.float32], held: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """A Gaussian around the films seen, and as the limit the distance that 99 % of those held out keep."""
    mean, std = seen.mean(0), seen.std(0) + 1e-6
    covariance = 0.999 * np.cov(((seen - mean) / std).T) + 0.001 * np.eye(seen.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    whiten = np.asarray((vectors / np.sqrt(values)) / std[:, None], np.float32)
    domain = {"mean": mean, "whiten": whiten, "limit": np.ones(1, np.float32)}
    far = domain_distance(torch.from_numpy(held), {k: torch.from_numpy(v) for k, v in domain.items()}).numpy()
    return {**domain, "limit": np.array([np.quantile(far, 0.99)], np.float32)}


def domain_distance(statistics: Tensor, domain: Mapping[str, Tensor]) -> Tensor:
    """Mahalanobis distance per dimension, in units of the limit: above 1 is outside."""
    z = (statistics - domain["mean"]) @ domain["whiten"]
    found: Tensor = z.square().mean(1).sqrt() / domain["limit"]
    return found
