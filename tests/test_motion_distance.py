"""Motion histograms against a plain version, distances on them, and points followed by an encoder's flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evals import metrics
from evals.errors import DoesNotApply, UnknownName
from evals.extractors.points import FRAMES, GRID, grid
from evals.metrics.motion_distance import MotionDistance
from evals.records import Need
from evals.tracking.motion import (
    SIZE,
    MotionHistograms,
    followed,
    histograms,
    weights,
)
from tests.conftest import Cli, examples, run_of

Array = NDArray[np.float64]


def plain(vectors: Array) -> Array:
    """FVMD's histograms as the paper and REFERENCE have them, by loops."""
    found = np.zeros((3, 4, 4, 8))
    for t in range(12):
        for i in range(20):
            for j in range(20):
                x, y = vectors[t, i * 20 + j]
                bin_ = min(7, int((np.arctan2(x, y) + np.pi) // (2 * np.pi / 8)))
                length = min(np.hypot(x, y), 255)
                found[t // 4, i // 5, j // 5, bin_] += np.ceil(np.log2(length + 1)) / 8
    return found.ravel()


@examples(12)
@given(st.integers(0, 10**6), st.floats(0.01, 300))
def test_histograms_are_those_of_a_plain_version(seed: int, scale: float) -> None:
    vectors = np.random.default_rng(seed).normal(0, scale, (15, GRID * GRID, 2))
    assert histograms(vectors) == pytest.approx(plain(vectors))


def test_weights_are_steps_of_the_logarithm() -> None:
    lengths = np.array([0.0, 0.5, 1.0, 1.01, 3.0, 255.0, 9000.0])
    assert weights(lengths).tolist() == [0, 1 / 8, 1 / 8, 2 / 8, 2 / 8, 1, 1]


def derived(xy: Array) -> Array:
    made = MotionHistograms("dis", {}).derive({Need("frames", "dis-points"): {"xy": xy}})
    return np.asarray(made["features"], np.float64)


def moving(speed: tuple[float, float], seed: int = 0, windows: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES)[None, :, None, None]
    start = grid(256, 256).astype(np.float64)[None, None]
    wobble = rng.normal(0, 0.2, (windows, FRAMES, GRID * GRID, 2))
    return np.asarray(start + t * np.array(speed) + wobble, np.float64)


def test_what_moves_alike_is_near_and_what_does_not_is_far() -> None:
    metric = MotionDistance("dis")
    need = metric.needs[0]
    rng = np.random.default_rng(0)

    def of(speed: tuple[float, float], n: int, seed: int) -> Array:
        each = [moving((speed[0] + rng.normal(), speed[1] + rng.normal()), seed + k) for k in range(n)]
        return np.stack([metric.pool({need: {"features": derived(xy)}}) for xy in each])

    names = ([f"a{k}" for k in range(30)], [f"b{k}" for k in range(30)])
    right, also, left = of((6, 0), 30, 0), of((6, 0), 30, 100), of((-6, 0), 30, 200)
    near, far = metric.compute(right, also, names), metric.compute(right, left, names)
    assert near.low is not None and near.low <= 0 <= (near.high or 0)
    assert far.low is not None and far.low > 0 and far.value > 10 * abs(near.value)
    assert right.shape == (30, SIZE)


def test_less_than_16_frames_have_no_histogram() -> None:
    with pytest.raises(DoesNotApply, match="take 16 frames"):
        derived(np.zeros((0, FRAMES, GRID * GRID, 2)))


def test_points_follow_an_encoders_flow_as_the_decoders() -> None:
    frames, cells = 20, 40
    flow = np.zeros((frames - 1, cells, cells, 2))
    flow[..., 0] = 1.5
    flow[:, cells // 2 :, :, 1] = -1.0  # the lower half goes up as well
    fields = {
        "flow": flow, "seen": np.ones((frames - 1, cells, cells)),
        "size": np.tile([[128.0, 96.0]], (frames - 1, 1)),
    }  # fmt: skip
    xy = followed(fields)
    assert xy.shape == (2, FRAMES, GRID * GRID, 2)
    step = np.diff(xy[0], axis=0)[0] * 96 / 256
    assert step[:40] == pytest.approx(np.tile([1.5, 0], (40, 1)), abs=1e-5)
    assert step[-40:] == pytest.approx(np.tile([1.5, -1.0], (40, 1)), abs=1e-5)
    gone = followed({**fields, "seen": np.zeros((frames - 1, cells, cells))})
    assert not np.diff(gone, axis=1).any()


def test_raft_points_are_means_of_its_flow(assets: object) -> None:
    from pathlib import Path

    from evals.encoders.base import Setup
    from evals.encoders.raft import RaftPoints, flows

    path = Path(str(assets)) / "weights" / "raft_small_princeton.pth"
    encoder = RaftPoints("raft-small:points", Setup(path))
    encoder.load("cpu")
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 256, (20, 28, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    window = torch.from_numpy(np.stack([wide[:, :160], wide[:, 3:163]]))[None]
    found = encoder.encode(window)
    frames = window.permute(0, 1, 4, 2, 3).float()
    there, _ = flows(encoder._network, frames[:, 0], frames[:, 1])
    blocks = there.reshape(1, 2, 40, 4, 40, 4).mean((3, 5)).permute(0, 2, 3, 1)
    assert torch.allclose(found["flow"], blocks, atol=1e-4) and found["size"].tolist() == [[160, 160]]
    assert float(found["flow"][0, 10:30, 10:30, 0].median()) == pytest.approx(-3, abs=0.3)
    encoder.unload()


def test_unknown_flows_are_named() -> None:
    with pytest.raises(UnknownName, match="dis"):
        metrics.create("motion_distance[diss]")
    assert metrics.create("motion_distance[raft-small]").needs == (Need("derived", "motion:raft-small"),)


def test_a_distance_of_motion_from_clips_to_a_table(clips, cli: Cli, tmp_path) -> None:  # type: ignore[no-untyped-def]
    names = "motion_distance[dis],motion_distance_frechet[lk]"
    for name in ("a", "b"):
        made = clips(name).write(prompts=4, frames=18)
        assert cli(*run_of(made.folder, tmp_path), "--metrics", names).code == 0
    done = cli(
        "compare", tmp_path / "a", "--reference", tmp_path / "b", "--videos", 0, "--out", tmp_path / "r"
    )
    assert done.code == 0, done.err
    table = (tmp_path / "r" / "distributions.csv").read_text()
    assert "motion_distance[dis]" in table and "motion_distance_frechet[lk]" in table
    # Derived features are made for videos that were decoded before, too.
    more = cli("score", tmp_path / "a", "--metrics", f"{names},motion_distance[lk]")
    assert more.code == 0, more.err
