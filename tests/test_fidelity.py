"""Fidelity metrics: against ffmpeg, torchmetrics and plain loops; videos that are no pair; chunks that don't
align."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals import pairing, video
from evals.decoding.resources import Resources
from evals.errors import UsageError
from evals.executors import Source
from evals.pairing import PairScore
from evals.records import Normalization, file_sha256
from evals.runs.folder import RunFolder
from evals.scoring import prepare, score_run
from evals.validate.degrade import blur, noise
from evals.video import Frames, Limits, encode
from tests.conftest import Cli, MakeClips, ball, run_of

NAMES = ("fidelity_psnr", "fidelity_ssim", "fidelity_mae")
RNG = np.random.default_rng(0)


@pytest.fixture
def run(clips: MakeClips, cli: Cli, tmp_path: Path) -> RunFolder:
    """A run of one lossless clip of 12 frames."""
    made = clips("a").write(1)
    assert cli("generate", *run_of(made.folder, tmp_path)[1:]).code == 0
    return RunFolder(tmp_path / "a")


def beside(run: RunFolder, other: Path, **options: Any) -> dict[str, PairScore]:
    """Fidelity of the run's one clip to another file."""
    at = ("disc-0", 0)
    others = {at: Source(file_sha256(other), other)}
    limits = options.pop("limits", Limits())
    with Resources(1, "cpu", limits) as resources:
        names = options.pop("names", NAMES)
        chosen = prepare(list(names), options.pop("weights", None))
        return pairing.score_pairs(run, others, chosen, resources=resources, **options)[at]


def written(tmp_path: Path, frames: Frames, fps: float = 8) -> Path:
    path = tmp_path / "other.mkv"
    encode(path, list(frames), fps, "ffv1")
    return path


def plain(a: Frames, b: Frames) -> dict[str, float]:
    """PSNR and mean absolute difference, by definition."""
    difference = a.astype(np.float64) - b.astype(np.float64)
    return {
        "fidelity_psnr": 10 * np.log10(255**2 / (difference**2).mean()),
        "fidelity_mae": np.abs(difference).mean(),
    }


def test_equals_plain_loops_and_torchmetrics(run: RunFolder, tmp_path: Path) -> None:
    """Every frame counts once, wherever chunks are cut."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    clip = ball()
    other = noise(clip, 6.0, RNG)
    found = beside(run, written(tmp_path, other))
    for name, value in plain(clip, other).items():
        assert found[name].value == pytest.approx(value, rel=1e-12)
    grey = [np.stack([video.Chunk(f[None], 0, 0, 8).grey[0] for f in side]) for side in (clip, other)]
    planes = [torch.from_numpy(side.astype(np.float64))[:, None] for side in grey]
    _, full = ssim(
        planes[0], planes[1], gaussian_kernel=True, sigma=1.5, kernel_size=11, data_range=255.0,
        return_full_image=True,
    )  # fmt: skip
    # torchmetrics averages over five pixels at the edges that its window does not fill; the paper doesn't.
    inner = full[:, :, 5:-5, 5:-5].mean((1, 2, 3)).numpy()
    assert found["fidelity_ssim"].curve == pytest.approx(inner, abs=1e-9)
    for name in NAMES:
        assert len(found[name].curve) == len(clip)


def test_small_chunks_give_the_same(run: RunFolder, tmp_path: Path) -> None:
    """A file of other packets, read in chunks of two frames, is aligned by frame."""
    other = tmp_path / "other.mp4"
    encode(other, list(ball()), 8, "h264", crf=30)
    whole = beside(run, other)
    shutil.rmtree(run.features)
    run.features.mkdir()
    small = beside(run, other, limits=replace(Limits(), chunk_bytes=6 * 48 * 64 * 3))
    for name in NAMES:
        assert small[name].curve.tolist() == whole[name].curve.tolist()
        assert small[name].value == whole[name].value


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command")
def test_equals_the_filter_of_ffmpeg(run: RunFolder, tmp_path: Path) -> None:
    """PSNR over RGB, as ffmpeg's filter prints it to six digits."""
    other = written(tmp_path, blur(ball(), 1.0, RNG))
    mine = run.video_path(run.samples()["disc-0", 0])
    graph = "[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr"
    command = [
        "ffmpeg",
        "-hide_banner",
        "-i",
        str(mine),
        "-i",
        str(other),
        "-lavfi",
        graph,
        "-f",
        "null",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    average = re.search(r"PSNR .* average:([\d.]+)", said)
    assert average
    assert beside(run, other)["fidelity_psnr"].value == pytest.approx(float(average[1]), abs=1e-5)


def test_where_drift_begins(run: RunFolder, tmp_path: Path) -> None:
    """A clip that goes wrong from frame 7 on, worst in frame 9."""
    other = ball()
    other[7:] = blur(other[7:], 1.0, RNG)
    other[9] = 0
    found = beside(run, written(tmp_path, other))["fidelity_psnr"]
    assert found.worst_frame("higher") == 9
    assert found.first_beyond(50.0, "higher") == 7
    assert found.curve[:7].tolist() == [100.0] * 7
    assert found.first_beyond(0.0, "higher") is None


def test_equal_bytes_are_not_decoded(run: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    shutil.copyfile(run.video_path(run.samples()["disc-0", 0]), copy)
    found = beside(run, copy)
    assert {name: (one.value, one.identical) for name, one in found.items()} == {
        "fidelity_psnr": (100.0, True), "fidelity_ssim": (1.0, True), "fidelity_mae": (0.0, True),
    }  # fmt: skip
    assert not list(run.features.glob("*.safetensors"))


def test_equal_pictures_in_other_bytes(run: RunFolder, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    encode(other, list(ball()), 8, "h264rgb")
    found = beside(run, other)
    assert [found[name].value for name in NAMES] == [100.0, pytest.approx(1.0, abs=1e-12), 0.0]
    assert not found["fidelity_psnr"].identical


@pytest.mark.parametrize(
    ("frames", "fps", "reason"),
    [
        (ball(size=(48, 66)), 8, "other_size"),
        (ball(frames=11), 8, "other_length"),
        (ball(), 9, "other_rate"),
    ],
)
def test_no_pair(run: RunFolder, tmp_path: Path, frames: Frames, fps: float, reason: str) -> None:
    """Another size, length or rate fails with a code; nothing is cropped."""
    found = beside(run, written(tmp_path, frames, fps))
    assert {(one.status, one.reason and one.reason.value, one.value) for one in found.values()} == {
        ("failed", reason, None)
    }


def test_a_damaged_file_costs_its_pair(run: RunFolder, tmp_path: Path) -> None:
    other = tmp_path / "other.mkv"
    other.write_bytes(b"no video")
    assert {one.status for one in beside(run, other).values()} == {"failed"}


def test_normalized_alike(run: RunFolder, tmp_path: Path) -> None:
    """Under a normalization, two sizes and rates can be brought to one."""
    other = written(tmp_path, ball(frames=24, size=(96, 128), step=1.0), 16)
    shape = Normalization(fps=4, seconds=1, short_side=32)
    found = beside(run, other, normalization=shape)
    assert found["fidelity_psnr"].status == "ok"
    assert len(found["fidelity_psnr"].curve) == 4


def test_lpips(run: RunFolder, tmp_path: Path) -> None:
    """Equals torchmetrics' network on the same frames, for random weights."""
    import torch
    import torchvision

    from evals.encoders.lpips import lpips_network

    torch.manual_seed(0)
    weights = tmp_path / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), weights)
    other = noise(ball(), 20.0, RNG)
    name = "fidelity_lpips[lpips-alex]"
    found = beside(run, written(tmp_path, other), names=(name,), weights={"lpips-alex": weights})[name]
    resize = video.Bounded(most=256, least=64)
    sides = [np.stack([resize.apply(f) for f in side]) for side in (ball(), other)]
    tensors = [torch.from_numpy(s).permute(0, 3, 1, 2).float() / 127.5 - 1 for s in sides]
    with torch.inference_mode():
        theirs = lpips_network(weights).eval()(tensors[0], tensors[1]).reshape(-1)
    assert found.curve == pytest.approx(theirs.numpy(), abs=1e-5)
    assert found.value == pytest.approx(float(theirs.mean()), abs=1e-5)


def test_scoring_one_run_refuses_pairs(run: RunFolder) -> None:
    with pytest.raises(UsageError, match="gate check"):
        score_run(run, prepare(["fidelity_psnr"]))


def test_which_weights_they_need() -> None:
    from evals.metrics.required import required

    assert [one.name for one in required(["fidelity_lpips[lpips-alex]"])] == ["alexnet"]
    assert required(NAMES) == []
