"""The networks of the embedded encoders: small enough for a CPU and for the package.

A video is 12 frames of 64 × 80, spread over its length. Strided 2-D convolutions see each frame,
1-D ones along time join them, a perceptron reads the sequence. A text is a sequence of known words
through a two-layer transformer. Both meet in one space, trained contrastively as in CLIP (Radford et
al. 2021).
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

FRAMES, HEIGHT, WIDTH = 12, 64, 80
FEATURES, JOINT, WORDS = 160, 128, 40
_CHANNELS = (24, 48, 96, 160)


def split(text: str) -> list[str]:
    """The words of a text: lower case, letters and digits."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'s", ""))


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
                nn.Conv2d(i, o, k, stride=2, padding=k // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)
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
