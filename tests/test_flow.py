"""Optical flow and what is made of it: RAFT against the authors' numbers, warping and masks on toy geometry,
the metrics against slow versions on real clips."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torchvision.models import optical_flow

from evals.decoding.windows import WindowCutter
from evals.encoders import create, raft
from evals.encoders.device import DeviceQueue, alike
from evals.encoders.raft import Raft, flows, load_raft
from evals.encoders.warping import halfway, top5, visible, warp
from evals.errors import DoesNotApply, UnknownName, WeightsError
from evals.extractors import between, dis
from evals.metrics.base import Skip
from evals.records import Normalization
from evals.runs.features import Features
from evals.video import Bounded, Chunk, FlowPairs, Limits, decode, probe
from tests.conftest import Cli, MakeClips, ball
from tests.helpers import number, score_of
from tests.test_extractors import extracted, in_chunks


@pytest.fixture(scope="module")
def small(assets: Path) -> Raft:
    found = create("raft-small", {"raft-small": assets / "weights" / "raft_small_princeton.pth"})
    assert isinstance(found, Raft)
    found.load("cpu")
    return found


def frames_of(path: Path) -> NDArray[np.uint8]:
    opened = probe(path, Limits())
    return np.asarray(np.concatenate([c.new for c in decode(opened, Normalization(), 1 << 24)]), np.uint8)


def rows_of(encoder: Raft, clip: NDArray[np.uint8], fps: float = 8.0) -> Features:
    """What extraction stores of a clip."""
    cutter = WindowCutter(encoder.frames, encoder.resize, len(clip), fps)
    windows = [w for _, w in sorted(cutter.step(Chunk(clip, 0, 0, fps)), key=lambda x: x[0])]
    parts = []
    for start in range(0, len(windows), encoder.batch):
        some = windows[start : start + encoder.batch]
        batch = np.zeros((encoder.batch, *some[0].shape), np.uint8)
        batch[: len(some)] = some
        found = encoder.encode(torch.from_numpy(batch))
        parts.append({k: v[: len(some)].numpy() for k, v in found.items()})
    return {**{k: np.concatenate([p[k] for p in parts]) for k in parts[0]}, **cutter.labels}


def test_raft_small_equals_the_authors_code(assets: Path, small: Raft) -> None:
    goldens = json.loads((assets / "golden" / "raft_small.json").read_text())
    assert len(goldens) == 8
    for name, golden in goldens.items():
        clip = frames_of(assets / name)
        height, width = golden["size"]
        a, b = (
            torch.from_numpy(clip[t][:height, :width].copy()).permute(2, 0, 1)[None].float()
            for t in golden["frames"]
        )
        there, _ = flows(small._network, a, b)
        found = there[0].double()
        length = found.square().sum(0).sqrt()
        at = [float(x) for x in found[:, 80, 144]]
        # Twelve recurrent steps in fp32: processors' kernels round differently, up to 2e-3 pixels seen.
        assert [float(found[0].mean()), float(found[1].mean())] == pytest.approx(
            [golden["mean_u"], golden["mean_v"]], abs=5e-3
        )
        assert float(length.mean()) == pytest.approx(golden["mean_magnitude"], rel=1e-3)
        assert float(length.quantile(0.95)) == pytest.approx(golden["p95_magnitude"], rel=1e-3)
        assert at == pytest.approx(golden["flow_at_y80_x144"], rel=2e-3, abs=1e-2)


@pytest.mark.parametrize("arch", ["raft_small", "raft_large"])
def test_flows_are_those_of_torchvisions_own_forward(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights: its last estimate, each frame's features computed once or for every pair."""
    torch.manual_seed(0)
    monkeypatch.setattr(raft, "ITERATIONS", 4)
    network = getattr(optical_flow, arch)(weights=None).eval()
    frames = functional.avg_pool2d(torch.rand(5, 3, 136, 144) * 255, 5, 1, 2)
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (2, 4)]
    stacked = torch.stack([frames[list(pair)] for pair in pairs])
    counted: list[int] = []
    for part in (network.feature_encoder, network.context_encoder):
        part.register_forward_hook(lambda _, given, __: counted.append(len(given[0])))
    with torch.inference_mode():
        once = raft.pair_flows(network, stacked, [n for pair in pairs for n in pair])
        assert counted == [3, 3] * 2  # five frames
        every = raft.pair_flows(network, stacked, None)
        first, last = (stacked[:, i] / 127.5 - 1 for i in range(2))
        theirs = network(torch.cat([first, last]), torch.cat([last, first]), num_flow_updates=raft.ITERATIONS)
    assert torch.equal(once.padded, every.padded)
    assert float(theirs[-1].abs().max()) > 0.5
    torch.testing.assert_close(once.padded, theirs[-1], atol=1e-3, rtol=0)


def test_equal_frames_of_a_batch_are_found() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 256, (3, 20, 30, 3), np.uint8)
    late = a.copy()
    late[-1, -1, -1] ^= 1  # told apart by one value, which no sample holds
    batch = np.stack([[a, a, b], [b, c, a], [late, b, late]])
    assert alike(batch) == [0, 0, 2, 2, 4, 0, 6, 2, 6]


def test_a_pass_computes_each_frames_features_once(small: Raft, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a batch of the device's queue, whatever window a frame stands in; numbers are those without it."""
    frames = np.stack([small.resize.apply(frame) for frame in ball(6, (130, 130), seed=1)])
    windows = small.frames.windows(6)
    assert len(windows) <= small.batch
    batch = np.zeros((small.batch, 3, *frames.shape[1:]), frames.dtype)
    batch[: len(windows)] = [frames[window] for window in windows]
    seen: list[int] = []
    real = raft._each

    def counted(part: Any, given: torch.Tensor, most: int) -> torch.Tensor:
        seen.append(len(given))
        return real(part, given, most)

    monkeypatch.setattr(raft, "_each", counted)
    monkeypatch.setattr(raft, "ITERATIONS", 2)
    with DeviceQueue("cpu") as queue:
        found = queue.submit(small, batch).result()()
    assert seen == [7, 7]  # six, and that of the places without a window
    plain = small.encode(torch.from_numpy(batch))
    assert seen[2:] == [2 * small.batch] * 2
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values.numpy())


def test_another_architectures_checkpoint_is_refused(assets: Path, tiny_clip: Path, tmp_path: Path) -> None:
    princeton = assets / "weights" / "raft_small_princeton.pth"
    for arch, path in (("raft-large", princeton), ("raft-small", tiny_clip / "open_clip_model.safetensors")):
        with pytest.raises(WeightsError, match=str(path)):
            load_raft(arch, path)
    damaged = tmp_path / "raft.pth"
    damaged.write_bytes(princeton.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"raft\.pth"):
        load_raft("raft-small", damaged)
    with pytest.raises(UnknownName, match="vbench"):
        create("raft-large:vbnch", {})


def texture(height: int = 160, width: int = 200) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(float)
    return np.asarray(np.clip((blurred - 127) * 6 + 127, 0, 255), np.uint8)


def test_a_known_translation_gives_that_flow(small: Raft) -> None:
    big = texture(220, 260)
    clip = np.stack([big[30 + 2 * t : 190 + 2 * t, 30 + 4 * t : 230 + 4 * t] for t in range(2)])
    a, b = (torch.from_numpy(f.copy()).permute(2, 0, 1)[None].float() for f in clip)
    there, back = flows(small._network, a, b)
    inner = (slice(None), slice(24, -24), slice(24, -24))
    # The window moves right and down, so what is seen moves left and up.
    for field, sign in ((there[0], -1), (back[0], 1)):
        middle = field[inner].flatten(1).median(1).values.tolist()
        assert middle == pytest.approx([sign * 4.0, sign * 2.0], abs=0.15)


def test_sides_that_are_no_multiple_of_8_and_tiny_frames(small: Raft) -> None:
    for height, width in ((131, 201), (17, 40)):
        big = texture(height + 20, width + 20)
        a, b = (
            torch.from_numpy(big[10:-10, x : x + width].copy()).permute(2, 0, 1)[None].float()
            for x in (8, 10)
        )
        there, _ = flows(small._network, a, b)
        assert there.shape == (1, 2, height, width)
        assert float(there[0, 0].median()) == pytest.approx(-2.0, abs=0.4)


def constant(u: float, v: float, height: int = 40, width: int = 50) -> torch.Tensor:
    return torch.tensor([float(u), float(v)]).view(1, 2, 1, 1).expand(1, 2, height, width).contiguous()


def test_warping_back_a_shifted_picture_restores_it() -> None:
    big = torch.from_numpy(texture(60, 70)).permute(2, 0, 1)[None].float()
    a, b = big[..., 5:45, 5:55], big[..., 3:43, 2:52]  # what is at p in a is at p + (3, 2) in b
    there, back = constant(3, 2), constant(-3, -2)
    restored = warp(b, there)
    assert torch.allclose(restored[..., :38, :47], a[..., :38, :47], atol=1e-3)
    assert not restored[..., 38:, :].any() and not restored[..., :, 47:].any()
    seen = visible(there, back)[0]
    assert seen[:38, :47].all() and not seen[38:].any() and not seen[:, 47:].any()
    middle = halfway(big[..., 6:46, 6:56], big[..., 2:42, 2:52], constant(4, 4), constant(-4, -4))
    assert torch.allclose(middle[..., 4:-4, 4:-4], big[..., 4:44, 4:54][..., 4:-4, 4:-4], atol=1e-3)


def test_a_known_occlusion_gives_that_mask() -> None:
    """A square moves 6 to the right over a still ground: where it will stand is covered in the next frame."""
    there, back = constant(0, 0), constant(0, 0)
    there[0, 0, 10:30, 10:20] = 6.0
    back[0, 0, 10:30, 16:26] = -6.0
    seen = visible(there, back)[0]
    assert seen[:9].all() and seen[31:].all()
    assert not seen[10:30, 20:26].any()  # covered by the square
    assert seen[11:29, 11:19].all()  # the square itself
    hidden = np.flatnonzero(~seen.numpy()[20])
    # The square's edges are motion boundaries, on the left one of the pixels beside.
    assert set(range(20, 26)) <= set(hidden) <= {9, 10, 19, *range(20, 27)}


def test_the_devices_and_the_decoders_maths_agree() -> None:
    rng = np.random.default_rng(1)
    image = texture(48, 60)
    last = np.roll(image, 2, 1)
    there, back = (
        cv2.GaussianBlur(rng.normal(0, 6, (48, 60, 2)), (0, 0), 4).astype(np.float32) for _ in "ab"
    )
    x, y = (torch.from_numpy(f).permute(2, 0, 1)[None] for f in (there, back))
    a, b = (torch.from_numpy(f).permute(2, 0, 1)[None].float() for f in (image, last))
    # OpenCV places samples on a grid of 1/32 of a pixel.
    assert np.abs(warp(b, x)[0].permute(1, 2, 0).numpy() - dis.warp(last, there)).mean() < 0.5
    assert (visible(x, y)[0].numpy() == dis.visible(there, back)).mean() > 0.98
    made = halfway(a, b, x, y)[0].permute(1, 2, 0).numpy()
    assert np.abs(made - between.halfway(image, last, there, back)).mean() < 0.5
    lengths = dis.magnitude(there)
    assert float(top5(torch.from_numpy(lengths)[None])[0]) == pytest.approx(dis._top5(lengths), rel=1e-6)


@pytest.mark.parametrize(("count", "fps"), [(2, 8.0), (7, 8.0), (9, 16.0), (16, 24.0), (13, 30.0)])
def test_pairs_of_a_video(count: int, fps: float) -> None:
    resize = Bounded(most=32)
    cutter = WindowCutter(FlowPairs(), resize, count, fps)
    stride = max(1, round(fps / 8))
    rows = cutter.labels
    first, last = rows["index"], rows["last"]
    near = [(a, b) for a, b in zip(first, last, strict=True) if b - a == 1]
    assert near == [(t, t + 1) for t in range(count - 1)]
    far = [(a, b) for a, b, s in zip(first, last, rows["strided"], strict=True) if s]
    assert far == list(zip(range(0, count, stride), range(stride, count, stride), strict=False))
    clip = ball(count, (40, 60))
    seen = dict(cutter.step(Chunk(clip[:3], 0, 0, fps)) + cutter.step(Chunk(clip[2:], 3, 1, fps)))
    assert sorted(seen) == list(range(len(first)))
    for place, (a, b) in enumerate(zip(first, last, strict=True)):
        middle = a + 1 if b - a == 2 and a % 2 == 0 else a
        for shown, t in zip(seen[place], (a, middle, b), strict=True):
            assert np.array_equal(shown, resize.apply(clip[t]))
    with pytest.raises(DoesNotApply):
        WindowCutter(FlowPairs(), resize, 1, fps)


def dis_rows(clip: NDArray[np.uint8], fps: float = 8.0) -> dict[str, Features]:
    chunks = in_chunks(clip, [len(clip)])
    for chunk in chunks:
        object.__setattr__(chunk, "fps", fps)
    return {f"frames:{n}": extracted(n, chunks) for n in ("dis", "dis-strided", "dis-between")}


def slowly_dynamic(encoder: Raft, clip: NDArray[np.uint8], fps: float) -> float:
    """VBench's rule, read off its description, pair by pair."""
    kept = clip[:: max(1, round(fps / 8))]
    scale = min(kept.shape[1:3])
    moving = 0
    for a, b in itertools.pairwise(kept):
        x, y = (torch.from_numpy(f.copy()).permute(2, 0, 1)[None].float() for f in (a, b))
        field, _ = flows(encoder._network, x, y)
        lengths = np.sort(np.hypot(*field[0].numpy().astype(float)).ravel())[::-1]
        moving += lengths[: int(lengths.size * 0.05)].mean() > 6.0 * scale / 256
    return float(moving >= max(1, round(4 * len(kept) / 16)))


@pytest.mark.nightly
def test_dynamic_degree_equals_a_slow_version_on_real_clips(assets: Path, small: Raft) -> None:
    found: list[float] = []
    for name in ("gt/0.mp4", "gt/122.mp4", "text2video-zero/1.mp4", "videofusion/137.mp4"):
        path = assets / "fetv" / name
        if not path.exists():
            path = sorted((assets / "fetv" / name.split("/")[0]).glob("*.mp4"))[len(found)]
        clip = np.stack(
            [cv2.resize(f, (160, 128), interpolation=cv2.INTER_AREA) for f in frames_of(path)[:9]]
        )
        mine = number(
            score_of("dynamic_degree[raft-small]", {"encoder:raft-small": rows_of(small, clip, 10.0)})
        )
        assert mine == slowly_dynamic(small, clip, 10.0)
        found.append(mine)
    assert len(set(found)) > 1  # some move and some don't, so the comparison could fail


def test_one_pass_serves_all_flow_metrics_and_a_still_picture_is_an_extreme(small: Raft) -> None:
    still = np.repeat(texture(128, 160)[None], 5, 0)
    big = texture(160, 240)
    moving = np.stack([big[8 : 8 + 128, 7 * t : 160 + 7 * t] for t in range(5)])
    for rows_still, rows_moving, flow in (
        ({"encoder:raft-small": rows_of(small, still)}, {"encoder:raft-small": rows_of(small, moving)},
         "raft-small"),
        (dis_rows(still), dis_rows(moving), "dis"),
    ):  # fmt: skip
        magnitude = number(score_of(f"flow_magnitude[{flow}]", rows_moving))
        assert magnitude == pytest.approx(7.0, rel=0.12)
        assert number(score_of(f"dynamic_degree[{flow}]", rows_moving)) == 1.0
        assert number(score_of(f"dynamic_degree[{flow}]", rows_still)) == 0.0
        assert number(score_of(f"flow_magnitude[{flow}]", rows_still)) < 0.3
        assert number(score_of(f"motion_smoothness[{flow}]", rows_still)) > 0.999
        assert number(score_of(f"motion_smoothness[{flow}]", rows_moving)) > 0.9
        assert number(score_of(f"warping_error[{flow}]", rows_still)) < 1e-5
        assert number(score_of(f"warping_error[{flow}]", rows_moving)) < 2e-3
        # A still clip cannot win where anything is to move.
        assert number(score_of(f"temporal_quality[{flow}]", rows_still)) < 0.35
        assert number(score_of(f"temporal_quality[{flow}]", rows_still, motion="high")) < 0.06
        assert number(score_of(f"temporal_quality[{flow}]", rows_moving, motion="high")) > 0.6
        assert number(score_of(f"temporal_quality[{flow}]", rows_still, motion="none")) > 0.99
        for name in ("temporal_quality", "motion_smoothness", "warping_error"):
            assert isinstance(score_of(f"{name}[{flow}]", rows_moving, cuts=True), Skip)


def test_smoothness_by_a_slow_version() -> None:
    clip = ball(8, (60, 80), step=3.0)
    errors = []
    for t in range(1, 7, 2):
        a, b = (cv2.cvtColor(clip[i], cv2.COLOR_RGB2GRAY) for i in (t - 1, t + 1))
        half = (dis.flow(a, b) - dis.flow(b, a)) / 4
        made = np.zeros(clip[0].shape)
        for y in range(60):
            for x in range(80):
                total = np.zeros(3)
                for image, sign in ((clip[t - 1], -1), (clip[t + 1], 1)):
                    u = np.clip(x + sign * half[y, x, 0], 0, 79)
                    v = np.clip(y + sign * half[y, x, 1], 0, 59)
                    x0, y0 = min(int(u), 78), min(int(v), 58)
                    s, r = u - x0, v - y0
                    top = (1 - s) * image[y0, x0] + s * image[y0, x0 + 1].astype(float)
                    low = (1 - s) * image[y0 + 1, x0] + s * image[y0 + 1, x0 + 1].astype(float)
                    total += (1 - r) * top + r * low
                made[y, x] = total / 2
        errors.append(np.abs(clip[t] - made).mean())
    mine = number(score_of("motion_smoothness[dis]", dis_rows(clip)))
    assert mine == pytest.approx((255 - np.mean(errors)) / 255, abs=2e-4)


def test_a_broken_middle_frame_is_seen_and_shown(small: Raft) -> None:
    clip = ball(9, (130, 160), step=2.0)
    broken = clip.copy()
    broken[5] = 255 - broken[5]
    rows = dis_rows(broken)
    assert int(np.argmax(rows["frames:dis-between"]["between_error"])) == 2  # frames 1, 3, 5, 7
    assert number(score_of("motion_smoothness[dis]", rows)) < number(
        score_of("motion_smoothness[dis]", dis_rows(clip))
    )


def test_short_videos(small: Raft, clips: MakeClips, cli: Cli, tmp_path: Path, assets: Path) -> None:
    made = clips("short")
    made.write(3, size=(72, 96), frames=2)
    weights = f"raft-small={assets / 'weights' / 'raft_small_princeton.pth'}"
    names = ("motion_smoothness", "warping_error", "temporal_quality", "dynamic_degree")
    chosen = ",".join(f"{n}[{flow}]" for n in names for flow in ("raft-small", "dis"))
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, "--weights", weights)
    assert cli(*base, "--metrics", chosen).code == 0
    lines = [
        json.loads(x)["scores"] for x in (tmp_path / "short" / "scores/main.jsonl").read_text().splitlines()
    ]
    for scores in lines:
        for flow in ("raft-small", "dis"):
            assert scores[f"motion_smoothness[{flow}]"]["status"] == "skipped"
            assert scores[f"temporal_quality[{flow}]"]["status"] == "skipped"
            assert scores[f"warping_error[{flow}]"]["status"] == "ok"
            assert scores[f"dynamic_degree[{flow}]"]["value"] == 0.0
