"""The torchmetrics classes: equal to the functions, over batches, resets and two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evals import frechet_distance, kernel_distance
from evals.errors import MetricError
from evals.metrics.neighbours import neighbours
from evals.metrics.training import FrechetVideoDistance, KernelVideoDistance, VideoNeighbours
from tests.conftest import ROOT
from tests.helpers import number, score_of

Matrix = NDArray[np.float64]


def sets() -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 6)) + 1e3, rng.normal(size=(45, 6)) * 1.2 + 1e3


def test_over_batches_they_equal_the_functions_and_forget_on_reset() -> None:
    fake, real = sets()
    distance, kernel, near = FrechetVideoDistance(6), KernelVideoDistance(), VideoNeighbours(k=3)
    for _ in range(2):
        for metric in (distance, kernel, near):
            metric.reset()
            for start in range(0, 60, 7):
                metric.update(torch.from_numpy(fake[start : start + 7]), real=False)
                metric.update(torch.from_numpy(real[start : start + 7]), real=True)
        assert float(distance.compute()) == pytest.approx(frechet_distance(fake, real), rel=1e-9)
        value, error = kernel.compute()
        assert (float(value), float(error)) == pytest.approx(kernel_distance(fake, real), rel=1e-9)
        found = near.compute()
        assert found == {k: pytest.approx(v) for k, v in neighbours(fake, real, 3)._asdict().items()}


def test_a_network_of_ones_own_is_used_and_left_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4 * 4, 5))
    metric = FrechetVideoDistance(5, network)
    videos = torch.rand(2, 20, 2, 3, 4, 4)
    for side, batch in zip((True, False), videos, strict=True):
        metric.update(batch, real=side)
    with torch.no_grad():
        real, fake = (network(v).double().numpy() for v in videos)
    assert float(metric.compute()) == pytest.approx(frechet_distance(fake, real), rel=1e-9)
    assert not list(metric.parameters()) and all(p.grad is None for p in network.parameters())


def test_mistakes_are_typed() -> None:
    metric = FrechetVideoDistance(3)
    with pytest.raises(MetricError, match="d = 4, expected 3"):
        metric.update(torch.zeros(2, 4), real=True)
    with pytest.raises(MetricError, match="NaN"):
        metric.update(torch.full((2, 3), torch.nan), real=True)
    with pytest.raises(MetricError, match=r"\(2, 3, 4\)"):
        metric.update(torch.zeros(2, 3, 4), real=True)
    metric.update(torch.zeros(4, 3), real=True)
    with pytest.raises(MetricError, match="no fake videos"):
        metric.compute()
    with pytest.raises(MetricError, match="no generated videos"), pytest.warns(UserWarning):
        KernelVideoDistance().compute()


PROCESS = """
import sys
import numpy as np, torch, torch.distributed as dist
from tests.test_training import sets
from evals.metrics.training import FrechetVideoDistance, KernelVideoDistance

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{sys.argv[2]}", rank=rank, world_size=2)
fake, real = (torch.from_numpy(x) for x in sets())
distance, kernel = FrechetVideoDistance(6), KernelVideoDistance()
mine = slice(0, 37) if rank == 0 else slice(37, None)  # uneven on purpose
for metric in (distance, kernel):
    metric.update(fake[mine], real=False)
    metric.update(real[mine], real=True)
print(repr(float(distance.compute())), *(repr(float(x)) for x in kernel.compute()), sep=",")
dist.destroy_process_group()
"""


@pytest.mark.nightly
def test_two_processes_equal_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESS]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(port)], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    fake, real = sets()
    wanted = (frechet_distance(fake, real), *kernel_distance(fake, real))
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        found = [float(x) for x in out.strip().split(",")]
        assert found == pytest.approx(wanted, rel=1e-9)


def test_means_over_videos_equal_the_suites_own_metrics() -> None:
    from evals.metrics.training import FrameConsistency, TemporalFlicker, TextVideoSimilarity

    rng = np.random.default_rng(0)
    features, texts = rng.normal(size=(5, 6, 8)), rng.normal(size=(5, 8))
    cut = np.zeros(1, np.int64)
    consistency, similarity = [], []
    for f, t in zip(features, texts, strict=True):
        rows = {"encoder:a/b": {"features": f[:, None]}, "text:a/b": {"features": t[None], "truncated": cut}}
        consistency.append(number(score_of("subject_consistency[a/b]", rows)))
        similarity.append(number(score_of("clip_similarity[a/b]", rows)))
    mine, words = FrameConsistency(), {f"text {i}": torch.from_numpy(t) for i, t in enumerate(texts)}
    match = TextVideoSimilarity(lambda x: x, lambda given: torch.stack([words[g] for g in given]))
    for part in (slice(0, 2), slice(2, 5)):
        mine.update(torch.from_numpy(features[part]))
        match.update(torch.from_numpy(features[part]), list(words)[part])
    assert float(mine.compute()) == pytest.approx(np.mean(consistency), abs=1e-12)
    assert float(match.compute()) == pytest.approx(np.mean(similarity), abs=1e-12)

    videos = rng.integers(0, 256, (3, 4, 3, 5, 6), dtype=np.uint8)
    steps = [np.abs(np.diff(v.astype(float), axis=0)).mean() for v in videos]
    flicker = TemporalFlicker()
    flicker.update(torch.from_numpy(videos[:1]))
    flicker.update(torch.from_numpy(videos[1:].astype(np.float32) / 255))
    assert float(flicker.compute()) == pytest.approx(np.mean([(255 - s) / 255 for s in steps]), abs=1e-7)
    flicker.reset()
    for metric, bad in ((flicker, videos[:, :1]), (mine, features[:, :1])):
        with pytest.raises(MetricError, match="two frames"):
            metric.update(torch.from_numpy(bad))
    with pytest.raises(MetricError, match="no videos"):
        flicker.compute()
    with pytest.raises(MetricError, match="NaN"):
        mine.update(torch.full((1, 2, 3), torch.nan))
    with pytest.raises(MetricError, match="5 videos and 1 prompts"):
        match.update(torch.from_numpy(features), ["text 0"])
