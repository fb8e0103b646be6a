"""Optical flow by RAFT (Teed & Deng 2020), through torchvision: features are summaries, flows are not
kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.optical_flow._utils import upsample_flow

from evals.encoders.base import Encoder, Setup
from evals.encoders.network import fill, state_dict
from evals.encoders.published import WEIGHTS, WeightFile, locate
from evals.encoders.warping import halfway, top5, visible, warp
from evals.errors import UnknownName, WeightsError
from evals.video import Bounded, FlowPairs, SpacedWindows

ITERATIONS = 20
AT_ONCE = 3  # frames that an encoder within the network takes: with 8 pairs of a video 4 to 9 come
SMALLEST = 128  # pixels a side: torchvision's network takes no less
PROTOCOLS = {"": 256, "vbench": 720}
FLOW_CELLS = 40  # a side


class _OnRaft(Encoder):
    """Base: RAFT's network from torchvision's or, of `raft-small`, the authors' weights."""

    arch: str
    path: Path
    each_frame_once = True

    @classmethod
    def published(cls, name: str) -> WeightFile:
        return WEIGHTS[name.partition(":")[0]]

    def _open(self, device: str) -> Any:
        return load_raft(self.arch, self.path).to(device).eval()


class Raft(_OnRaft):
    """Summaries of the optical flow between two frames, for every pair of `FlowPairs`.

    - `magnitude`: mean length of the flow, pixels; `top5`: mean of the largest 5 % lengths, pixels at a
      short side of 256;
    - `warp_error`: mean squared difference, frames in [0, 1], between the first and the last warped back,
      over visible pixels and channels, -1 where none is visible; `visible`: their share;
    - `between_error`: mean absolute difference, 0 to 255, between the middle frame and the one that is
      interpolated from first and last.

    20 iterations, both directions, at a short side of at most 256 pixels; `raft-large:vbench` at most 720,
    where VBench takes videos as they are, and its `top5` is over the padded flow, as in VBench's code.
    Weights are torchvision's (`weights fetch raft-small`), or of `raft-small` the authors' own file
    (`--weights raft-small=PATH`). Raises `WeightsError`.
    """

    frames = FlowPairs()

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.arch, _, protocol = name.partition(":")
        if protocol not in PROTOCOLS:
            raise UnknownName("RAFT protocol", protocol, [p for p in PROTOCOLS if p])
        side = PROTOCOLS[protocol]
        self.batch = 8 if side <= 256 else 1
        self.path = self.setup.weights or locate(self.arch)
        digest = self.hashed(self.path)
        self.resize = Bounded(most=side)
        self.padded = protocol == "vbench"
        how = {"top5": "padded"} if self.padded else {}
        self.spec = self.describe(
            "raft",
            4 if self.padded else 3,
            arch=self.arch,
            weights_sha256=digest,
            iterations=ITERATIONS,
            **how,
        )

    def forward(self, windows: Tensor, alike: Sequence[int] | None = None) -> Mapping[str, Tensor]:
        frames = windows.permute(0, 1, 4, 2, 3).to(torch.float32)
        first, middle, last = frames.unbind(1)
        outer = None if alike is None else [n for i, n in enumerate(alike) if i % 3 != 1]
        found = pair_flows(self._network, frames[:, ::2], outer)
        there, back = found.both
        lengths = _lengths(there)
        seen_by_top5 = _lengths(found.padded.chunk(2)[0]) if self.padded else lengths
        seen = visible(there, back)
        squares = ((first - warp(last, there)) / 255).square().mean(1)
        count = seen.sum((1, 2))
        error = torch.where(count > 0, (squares * seen).sum((1, 2)) / count.clamp(min=1), -1.0)
        summary = {
            "magnitude": lengths.mean((1, 2)),
            "top5": top5(seen_by_top5) * 256 / min(lengths.shape[1:]),
            "warp_error": error,
            "visible": seen.float().mean((1, 2)),
            "between_error": (middle - halfway(first, last, there, back)).abs().mean((1, 2, 3)),
        }
        return {name: value.float().reshape(-1, 1, 1) for name, value in summary.items()}


class RaftPoints(_OnRaft):
    """The optical flow between neighbours, coarsely, for points to be followed by: `flow` (n, 40, 40, 2),
    means over equal cells of displacements in pixels, x then y; `seen` (n, 40, 40), the share of a cell that
    is visible in both frames; `size` (n, 2), the width and height of the frames in pixels.

    `raft-small:points` and `raft-large:points`: otherwise as `Raft`."""

    frames = SpacedWindows(frames=2, most=None)
    resize = Bounded(most=256)
    batch = 8

    def __init__(self, name: str, setup: Setup | None = None) -> None:
        super().__init__(name, setup)
        self.arch = name.partition(":")[0]
        self.path = self.setup.weights or locate(self.arch)
        digest = self.hashed(self.path)
        self.spec = self.describe(
            "raft-points", 3, arch=self.arch, weights_sha256=digest, iterations=ITERATIONS, cells=FLOW_CELLS
        )

    def forward(self, windows: Tensor, alike: Sequence[int] | None = None) -> Mapping[str, Tensor]:
        there, back = pair_flows(self._network, windows.permute(0, 1, 4, 2, 3).to(torch.float32), alike).both
        coarse = functional.adaptive_avg_pool2d(there, FLOW_CELLS).permute(0, 2, 3, 1)
        seen = functional.adaptive_avg_pool2d(visible(there, back).float()[:, None], FLOW_CELLS)[:, 0]
        height, width = there.shape[-2:]
        size = torch.tensor([[width, height]], dtype=torch.float32).repeat(len(there), 1)
        return {"flow": coarse.float(), "seen": seen.float(), "size": size}


@torch.inference_mode()
def flows(network: Any, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Displacements (B, 2, H, W) in pixels, x then y, from `a` to `b` and back; frames (B, 3, H, W) from 0
    to 255."""
    return pair_flows(network, torch.stack([a, b], 1), None).both


class Flows(NamedTuple):
    """Both directions (2B, 2, H', W') of frames that were padded; rows and columns of the frames in it."""

    padded: Tensor
    inside: tuple[slice, slice]

    @property
    def both(self) -> tuple[Tensor, Tensor]:
        there, back = self.padded[..., self.inside[0], self.inside[1]].chunk(2)
        return there, back


@torch.inference_mode()
def pair_flows(network: Any, pairs: Tensor, alike: Sequence[int] | None) -> Flows:
    """Flows of pairs (B, 2, 3, H, W) from 0 to 255, whose frames are padded by repeating the border to
    multiples of 8, and to 128. `alike` gives each of the 2B frames a number, equal ones the same."""
    height, width = pairs.shape[-2:]
    tall, wide = (max(SMALLEST, -(-x // 8) * 8) for x in (height, width))
    top, left = (tall - height) // 2, (wide - width) // 2
    pad = (left, wide - width - left, top, tall - height - top)
    names = range(2 * len(pairs)) if alike is None else alike
    firsts: dict[int, int] = {}
    for place, name in enumerate(names):
        firsts.setdefault(name, place)
    chosen = pairs.flatten(0, 1)[_indices(list(firsts.values()), pairs.device)]
    frames = functional.pad(chosen / 127.5 - 1, pad, mode="replicate")
    numbers = {name: number for number, name in enumerate(firsts)}
    first, last = ([numbers[name] for name in names[i::2]] for i in range(2))
    found = _estimated(network, frames, first + last, last + first)
    return Flows(found.float(), (slice(top, top + height), slice(left, left + width)))


def _estimated(network: Any, frames: Tensor, sources: Sequence[int], targets: Sequence[int]) -> Tensor:
    """The last estimate (n, 2, H, W) of torchvision's network for n pairs of some frames (m, 3, H, W): what
    depends on a frame alone is computed once, and only the last estimate is brought to full size."""
    features, context = (
        _each(part, frames, len(sources)) for part in (network.feature_encoder, network.context_encoder)
    )
    of, to = (_indices(numbers, frames.device) for numbers in (sources, targets))
    network.corr_block.build_pyramid(features[of], features[to])
    size = network.update_block.hidden_state_size
    hidden, context = torch.split(context[of], [size, context.shape[1] - size], 1)
    hidden, context = hidden.tanh(), context.relu()
    y, x = (torch.arange(n, dtype=frames.dtype, device=frames.device) for n in features.shape[-2:])
    start = torch.stack(torch.meshgrid(x, y, indexing="xy")).expand(len(of), -1, -1, -1)
    now = start
    for _ in range(ITERATIONS):
        cost = network.corr_block.index_pyramid(centroids_coords=now)
        hidden, step = network.update_block(hidden, context, cost, now - start)
        now = now + step
    mask = None if network.mask_predictor is None else network.mask_predictor(hidden)
    flow: Tensor = upsample_flow(flow=now - start, up_mask=mask)
    return flow


def _indices(numbers: Sequence[int], device: torch.device) -> Tensor:
    """Numbers on a device, brought there without waiting for what it does."""
    found = torch.tensor(numbers)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found


def _each(network: Any, frames: Tensor, most: int) -> Tensor:
    """A network's result for each frame, of which there are `most` or fewer, in batches of one shape: that of
    a frame does not depend on how many there are."""
    at_once = min(AT_ONCE, most)
    short = -len(frames) % at_once
    padded = torch.cat([frames, frames.new_zeros(short, *frames.shape[1:])]) if short else frames
    return torch.cat([network(part) for part in torch.split(padded, at_once)])[: len(frames)]


def _lengths(field: Tensor) -> Tensor:
    return field.square().sum(1).sqrt()


def load_raft(arch: str, path: Path) -> torch.nn.Module:
    """torchvision's network with weights of its own or, for `raft-small`, of the authors' naming, whose
    tensors come in the same order. Raises `WeightsError`."""
    from torchvision.models import optical_flow

    network: torch.nn.Module = {"raft-small": optical_flow.raft_small, "raft-large": optical_flow.raft_large}[
        arch
    ](weights=None, progress=False)
    state = state_dict(path, arch)
    mine = network.state_dict()
    if arch == "raft-small" and "fnet.conv1.weight" in state:
        alike = [a.shape == b.shape for a, b in zip(mine.values(), state.values(), strict=False)]
        if len(mine) != len(state) or not all(alike):
            raise WeightsError(f"{path}: does not fit {arch}: other shapes")
        state = dict(zip(mine, state.values(), strict=True))
    elif "fnet.conv1.weight" in state:
        raise WeightsError(
            f"{path}: is in the authors' naming, which is read for raft-small only; torchvision's"
            " raft_large C_T_V1 holds the same weights"
        )
    return fill(network, state, path, arch)
