"""Distances for a training loop: `torchmetrics.Metric` classes that sum up over steps and processes.

States are float64 and are joined as in `evals.metrics.moments`, so the result is that of one process that
saw everything. A user's own feature network goes in; none is loaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from evals.errors import MetricError
from evals.metrics.frechet import frechet_distance_from_moments
from evals.metrics.kernel import kernel_distance
from evals.metrics.moments import Moments
from evals.metrics.neighbours import neighbours

Network = Callable[[Tensor], Tensor]


class _OfFeatures(Metric):
    """Base: videos through a network to features (B, d)."""

    is_differentiable = False
    full_state_update = False
    higher_is_better: bool | None = False
    network: Network

    def __init__(self, network: Network | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not a submodule by assignment where it is one: the loop's optimiser and state dict stay as they are.
        self.__dict__["network"] = network or (lambda features: features)

    def _features(self, videos: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.network(videos)
        if features.ndim != 2:
            raise MetricError(f"the network gives {tuple(features.shape)}; features are (B, d)")
        if not bool(torch.isfinite(features).all()):
            raise MetricError("the network gives NaN or infinity")
        return features.detach().to(self.device, torch.float64)


class FrechetVideoDistance(_OfFeatures):
    """Squared Fréchet distance between real and generated videos.

    `network` maps what `update` is given to features (B, d), d = `dim`; without, `update` takes features.
    States take 2·d² float64. `ddof` as in `evals.frechet_distance`.
    """

    def __init__(self, dim: int, network: Network | None = None, ddof: int = 1, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.dim, self.ddof = dim, ddof
        for side in ("real", "fake"):
            for name, shape in (("n", ()), ("mean", (dim,)), ("scatter", (dim, dim))):
                # Not reduced by a sum: moments about different means are joined in `compute`.
                self.add_state(f"{side}_{name}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, videos: Tensor, real: bool) -> None:
        """Take a batch of real or generated videos. Raises `MetricError` for another d, NaN or infinity."""
        features = self._features(videos)
        if features.shape[1] != self.dim:
            raise MetricError(f"features have d = {features.shape[1]}, expected {self.dim}")
        if not len(features):
            return
        side = "real" if real else "fake"
        n, mean, scatter = (getattr(self, f"{side}_{name}") for name in ("n", "mean", "scatter"))
        new, centre = len(features), features.mean(0)
        apart, about = centre - mean, features - centre
        setattr(self, f"{side}_mean", mean + apart * (new / (n + new)))
        joined = scatter + about.T @ about + torch.outer(apart, apart) * (n * new / (n + new))
        setattr(self, f"{side}_scatter", joined)
        setattr(self, f"{side}_n", n + new)

    def compute(self) -> Tensor:
        """The distance, float64. Raises `MetricError` for a side with too few videos."""
        sides = [self._moments(side) for side in ("fake", "real")]
        a, b = ((m.mean, m.covariance(self.ddof)) for m in sides)
        return torch.tensor(frechet_distance_from_moments(*a, *b), dtype=torch.float64, device=self.device)

    def _moments(self, side: str) -> Moments:
        counts, means, scatters = (getattr(self, f"{side}_{name}") for name in ("n", "mean", "scatter"))
        if counts.ndim == 0:  # one process
            counts, means, scatters = counts[None], means[None], scatters[None]
        total: Moments | None = None
        for n, mean, scatter in zip(counts.cpu(), means.cpu(), scatters.cpu(), strict=True):
            if n > 0:
                part = Moments(int(n), np.asarray(mean), np.asarray(scatter))
                total = part if total is None else total + part
        if total is None:
            raise MetricError(f"no {side} videos yet")
        return total


class _KeepsFeatures(_OfFeatures):
    """Base of what needs every feature: states grow with the videos."""

    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, network: Network | None = None, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, videos: Tensor, real: bool) -> None:
        """Take a batch of real or of generated videos. Raises `MetricError` for NaN or infinity."""
        (self.real if real else self.fake).append(self._features(videos))

    def _both(self) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
        found = []
        for side, state in (("generated", self.fake), ("real", self.real)):
            rows = torch.cat(list(state)) if isinstance(state, list) and state else state
            if not isinstance(rows, Tensor):
                raise MetricError(f"no {side} videos yet")
            found.append(np.asarray(rows.cpu(), np.float64))
        return found[0], found[1]


class KernelVideoDistance(_KeepsFeatures):
    """Unbiased kernel distance (`evals.kernel_distance`) between real and generated videos, as (value,
    standard error)."""

    def compute(self) -> tuple[Tensor, Tensor]:
        """Both float64. Raises `MetricError` for a side with fewer than two videos."""
        found = kernel_distance(*self._both())
        value, error = (torch.tensor(x, dtype=torch.float64, device=self.device) for x in found)
        return value, error


class VideoNeighbours(_KeepsFeatures):
    """Precision, recall, density and coverage (`evals.metrics.neighbours`) of generated to real videos."""

    higher_is_better = True

    def __init__(self, network: Network | None = None, k: int = 5, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.k = k

    def compute(self) -> dict[str, Tensor]:
        """By name, float64. Raises `MetricError` for a side with no more than k videos."""
        found = neighbours(*self._both(), self.k)._asdict()
        return {k: torch.tensor(v, dtype=torch.float64, device=self.device) for k, v in found.items()}


class _Mean(Metric):
    """Base: the mean over videos of a number each, float64, summed over steps and processes."""

    is_differentiable = False
    full_state_update = False
    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _take(self, values: Tensor) -> None:
        if not bool(torch.isfinite(values).all()):
            raise MetricError("the videos or their features hold NaN or infinity")
        self.total = self.total + values.to(self.total).sum()
        self.count = self.count + len(values)

    def compute(self) -> Tensor:
        """The mean, float64. Raises `MetricError` before the first video."""
        if not self.count:
            raise MetricError("no videos yet")
        return self.total / self.count


class TemporalFlicker(_Mean):
    """Mean `temporal_flicker` of videos (B, T, …) of whole numbers from 0 to 255, or floating from 0 to 1."""

    def update(self, videos: Tensor) -> None:
        """Take a batch of at least two frames. Raises `MetricError` for one frame, NaN or infinity, numbers
        out of range, and for (B, C, T, H, W)."""
        _several(videos)
        _within_range(videos)
        scale = 1.0 if videos.is_floating_point() else 255.0
        steps = videos.to(torch.float64).diff(dim=1).abs().flatten(1).mean(1)
        self._take(1 - steps / scale)


class FrameConsistency(_Mean):
    """Mean `subject_consistency` of videos on a network of your own: ½[max(0, cos(fₜ, fₜ₋₁)) + max(0,
    cos(fₜ, f₁))] over frames t ≥ 2.

    `network` maps frames (N, …) to features (N, d); without, `update` takes features (B, T, d).
    """

    def __init__(self, network: Network | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__dict__["network"] = network

    def update(self, videos: Tensor) -> None:
        """Take a batch of videos (B, T, …), at least two frames each. Raises `MetricError`."""
        _several(videos)
        features = _unit(_frames(videos, self.__dict__["network"]))
        before = (features[:, 1:] * features[:, :-1]).sum(-1).clamp(min=0)
        start = (features[:, 1:] * features[:, :1]).sum(-1).clamp(min=0)
        self._take(((before + start) / 2).mean(1))


class TextVideoSimilarity(_Mean):
    """Mean `clip_similarity`: the cosine of frames and prompt, mean over a video's frames.

    `frames` maps frames (N, …), `texts` a list of B texts to features (·, d) of one space.
    """

    def __init__(self, frames: Network, texts: Callable[[list[str]], Tensor], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__dict__["frames"], self.__dict__["texts"] = frames, texts

    def update(self, videos: Tensor, prompts: list[str]) -> None:
        """Take videos (B, T, …) and their prompts. Raises `MetricError` for another number of them."""
        if len(videos) != len(prompts):
            raise MetricError(f"{len(videos)} videos and {len(prompts)} prompts")
        seen = _unit(_frames(videos, self.__dict__["frames"]))
        with torch.no_grad():
            words = _unit(self.__dict__["texts"](list(prompts)).detach())
        self._take((seen * words.to(seen)[:, None]).sum(-1).mean(1))


def _several(videos: Tensor) -> None:
    if videos.ndim < 3 or videos.shape[1] < 2:
        raise MetricError(f"videos are (B, T, …) with at least two frames, not {tuple(videos.shape)}")
    _time_first(videos)


CHANNELS = (1, 3, 4)


def _time_first(videos: Tensor) -> None:
    """Refuse (B, C, T, H, W), whose second axis would be taken for time."""
    shape = tuple(videos.shape)
    if len(shape) == 5 and shape[1] in CHANNELS and shape[2] not in CHANNELS and shape[-1] not in CHANNELS:
        raise MetricError(
            f"videos are (B, T, C, H, W) or (B, T, H, W, C); {shape} looks like (B, C, T, H, W): transpose it"
            " with videos.transpose(1, 2)"
        )


def _within_range(videos: Tensor) -> None:
    low, high = (float(bound) for bound in torch.aminmax(videos))
    most = 1.0 if videos.is_floating_point() else 255.0
    if low < 0 or high > most:
        raise MetricError(
            "floating videos are from 0 to 1 and whole numbers from 0 to 255; these go from"
            f" {low:g} to {high:g}"
        )


def _frames(videos: Tensor, network: Network | None) -> Tensor:
    """Features (B, T, d) of every frame."""
    with torch.no_grad():
        found = videos
        if network:
            _time_first(videos)
            rows = network(videos.flatten(0, 1))
            found = rows.reshape(*videos.shape[:2], *rows.shape[1:])
    if found.ndim != 3:
        raise MetricError(f"features are (B, T, d), not {tuple(found.shape)}")
    return found.detach()


def _unit(features: Tensor) -> Tensor:
    return torch.nn.functional.normalize(features.to(torch.float64), dim=-1, eps=1e-30)
