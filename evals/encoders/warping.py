"""What is made of optical flow, on the device; the decoders' `extractors.dis` has the same for NumPy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _grid(field: Tensor) -> tuple[Tensor, Tensor]:
    """Where every pixel's displacement (B, 2, H, W) points: x and y (B, H, W)."""
    height, width = field.shape[-2:]
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    y = torch.arange(height, device=field.device, dtype=field.dtype)
    return x + field[:, 0], y[:, None] + field[:, 1]


def warp(image: Tensor, field: Tensor, padding: str = "zeros") -> Tensor:
    """Backward warp: at p, the image's (B, C, H, W) bilinear value at p + field(p); outside 0, or with
    `border` the nearest pixel's."""
    height, width = field.shape[-2:]
    x, y = _grid(field)
    where = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return functional.grid_sample(image, where, "bilinear", padding, align_corners=True)


def visible(there: Tensor, back: Tensor) -> Tensor:
    """Where a frame's pixels can be seen in the other (B, H, W): forward and backward flow agree, no motion
    boundary, and the flow stays inside (Lai et al. 2018; see `extractors.dis.visible`)."""
    returned = warp(back, there)
    length = there.square().sum(1)
    apart = (there + returned).square().sum(1) > 0.01 * (length + returned.square().sum(1)) + 0.5
    step_x = functional.pad(there.diff(dim=3), (0, 1))
    step_y = functional.pad(there.diff(dim=2), (0, 0, 0, 1))
    edge = (step_x.square() + step_y.square()).sum(1) > 0.01 * length + 0.002
    x, y = _grid(there)
    height, width = there.shape[-2:]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    return ~(apart | edge | outside)


def halfway(a: Tensor, b: Tensor, there: Tensor, back: Tensor) -> Tensor:
    """The frame in the middle of two (B, C, H, W), from the flows between them: at half the time the
    displacement to either side is a quarter of the flows' difference (Jiang et al. 2018, eq. 4)."""
    half = (there - back) / 4
    return (warp(a, -half, "border") + warp(b, half, "border")) / 2


def top5(lengths: Tensor) -> Tensor:
    """Mean of the largest 5 % of (B, H, W)."""
    flat = lengths.flatten(1)
    return flat.topk(max(1, int(flat.shape[1] * 0.05)), dim=1).values.mean(1)
