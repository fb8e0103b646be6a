"""I3D: Inception-v1 with its kernels inflated along time (Carreira & Zisserman 2017), in PyTorch.

The network of the Fréchet video distance: DeepMind's `rgb_scratch` weights on Kinetics-400, TensorFlow's
'SAME' padding, batch norm with an epsilon of 1e-3 (or a port's), logits averaged over time. Parameters are
named as in the common PyTorch ports (`Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.running_mean`, …), whose
state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from evals.errors import DoesNotApply, Reason

EPSILON = 1e-3
SHORTEST = 9  # frames: of fewer, less than the two that the last pooling joins arrive there

_MIXED: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Before and after, as TensorFlow pads for ceil(size / stride) outputs: the odd one comes after."""
    pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return pad // 2, pad - pad // 2


def _pad(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        pads += same_padding(size, k, s)
    return functional.pad(x, pads) if any(pads) else x


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(ins, outs, self.kernel, self.stride, bias=False)
        self.bn = nn.BatchNorm3d(outs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv3d(_pad(x, self.kernel, self.stride))))


class Pool(nn.Module):
    """Largest of a neighbourhood. What is padded is 0, which no input is below."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(_pad(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, ins: int, outs: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.b0 = Unit(ins, outs[0], 1)
        self.b1a, self.b1b = Unit(ins, outs[1], 1), Unit(outs[1], outs[2], 3)
        self.b2a, self.b2b = Unit(ins, outs[3], 1), Unit(outs[3], outs[4], 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(ins, outs[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, 1)


class Logits(nn.Module):
    """The classifier: a 1×1×1 convolution with bias."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv3d(x)
        return scores


class InflatedInception(nn.Module):
    """(B, 3, T, H, W) in [-1, 1] to logits (B, classes), averaged over time.

    224 × 224 is what it was trained on; sides from 193 work. Raises `DoesNotApply` for fewer than 9 frames
    or a smaller picture.
    """

    def __init__(self, classes: int = 400, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = Mixed(*_MIXED["Mixed_3b"])
        self.Mixed_3c = Mixed(*_MIXED["Mixed_3c"])
        self.MaxPool3d_4a_3x3 = Pool((3, 3, 3), (2, 2, 2))
        for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            self.add_module(name, Mixed(*_MIXED[name]))
        self.MaxPool3d_5a_2x2 = Pool((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = Mixed(*_MIXED["Mixed_5b"])
        self.Mixed_5c = Mixed(*_MIXED["Mixed_5c"])
        self.logits = Logits(classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eps = epsilon

    def forward(self, videos: Tensor) -> Tensor:
        frames, height, width = videos.shape[2:]
        if frames < SHORTEST:
            raise DoesNotApply(f"has {frames} frames, I3D needs {SHORTEST}", Reason.TOO_FEW_FRAMES)
        if min(height, width) < 193:
            raise DoesNotApply(f"is {width}×{height}, I3D needs sides of at least 193", Reason.TOO_SMALL)
        x = videos
        for name, module in self.named_children():
            if name != "logits":
                x = module(x)
        # The weighted mean of logits is the logits of the mean: both are linear.
        pooled = functional.avg_pool3d(x, (2, 7, 7), 1)
        scores: Tensor = self.logits(pooled)
        return scores.mean((2, 3, 4))
