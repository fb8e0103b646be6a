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
