"""Frame extractors and the metrics on them: published goldens, other libraries, toy geometry, chunking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evals import metrics
from evals.errors import DoesNotApply, Reason, UsageError
from evals.extractors import FRAME_EXTRACTORS, create, dis
from evals.metrics.base import Skip, Value
from evals.metrics.temporal import cuts
from evals.runs.features import Features
from evals.video import Chunk, Frames, decode, probe
from tests import helpers
from tests.conftest import ball
from tests.helpers import score_of


def in_chunks(frames: Frames, sizes: list[int], fps: float = 8.0) -> list[Chunk]:
    """Cut frames into chunks of these many new frames, as the decoder does."""
    chunks, start = [], 0
    for size in sizes:
        lead = 1 if start else 0
        chunks.append(Chunk(frames[start - lead : start + size], start, lead, fps, total=len(frames)))
        start += size
    assert start == len(frames)
    return chunks


ONE_OF = {"stills:*": "stills:4x64"}
"""An id that stands for a family of them."""


def extracted(name: str, chunks: list[Chunk]) -> Features:
    made = create(ONE_OF.get(name, name))
    parts = [made.step(c) for c in chunks] + [made.finish()]
    names = dict.fromkeys(name for part in parts for name in part)
    return {k: np.concatenate([p[k] for p in parts if k in p]) for k in names}


def value(metric_id: str, frames: Frames, fps: float = 8.0, **prompt: object) -> Value | Skip:
    chunks = in_chunks(frames, [len(frames)], fps)
    features = {str(n): extracted(n.id, chunks) for n in metrics.create(metric_id).needs}
    return score_of(metric_id, features, **prompt)


def number(metric_id: str, frames: Frames, fps: float = 8.0) -> float:
    return helpers.number(value(metric_id, frames, fps))


@pytest.mark.parametrize("name", list(FRAME_EXTRACTORS))
def test_rows_do_not_depend_on_chunking(name: str) -> None:
    frames = ball(13, (60, 80), step=4)
    whole = extracted(name, in_chunks(frames, [13], fps=24))
    for sizes in ([1] * 13, [2, 5, 6], [12, 1]):
        parts = extracted(name, in_chunks(frames, sizes, fps=24))
        assert whole.keys() == parts.keys()
        assert all(np.array_equal(whole[k], parts[k]) for k in whole)


OF_OTHER_ROWS = {"moving", "dis-points", "lk-points", "stills:*"}  # a row per detection, window or byte


@pytest.mark.parametrize("name", [n for n in FRAME_EXTRACTORS if n not in OF_OTHER_ROWS])
def test_rows_are_finite_and_one_per_frame_or_pair(name: str) -> None:
    for count in (1, 2, 7):
        rows = extracted(name, in_chunks(ball(count), [count]))
        for array in rows.values():
            assert np.isfinite(array).all() and len(array) in (count, count - 1, (count - 1) // 2)


def test_flicker_equals_vbench_on_95_real_files(assets: Path) -> None:
    golden = json.loads((assets / "golden/vbench_temporal_flickering.json").read_text())
    assert len(golden) == 95
    for name, expected in golden.items():
        rows = extracted("difference", list(decode(probe(assets / name))))
        found = helpers.number(score_of("temporal_flicker", {"frames:difference": rows}))
        assert found == pytest.approx(expected, abs=1e-6), name


def test_difference_equals_a_plain_loop() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (4, 37, 50, 3), dtype=np.uint8)
    rows = extracted("difference", in_chunks(frames, [4]))
    for t in range(3):
        a, b = frames[t].astype(float), frames[t + 1].astype(float)
        assert rows["mean"][t] == pytest.approx(np.abs(a - b).mean(), rel=1e-12)
        gap = np.abs(a - b)
        blocks = [gap[y : y + 16, x : x + 16].mean() for y in range(0, 37, 16) for x in range(0, 50, 16)]
        assert rows["block_max"][t] == pytest.approx(max(blocks), rel=1e-12)


def test_ssim_equals_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    frames = ball(4, (61, 83), step=3)
    rows = extracted("ssim", in_chunks(frames, [4]))
    grey = torch.tensor(np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]), dtype=torch.float64)
    _, theirs = structural_similarity_index_measure(
        grey[:-1, None], grey[1:, None], data_range=255.0, reduction="none", return_full_image=True
    )
    # torchmetrics averages over reflected borders too; Wang et al. only over where the window fits.
    inner = theirs[:, 0, 5:-5, 5:-5].mean((1, 2)).numpy()
    assert np.allclose(rows["ssim"], inner, atol=1e-9)


def test_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(DoesNotApply, match="11×11"):
        extracted("ssim", in_chunks(np.zeros((2, 10, 40, 3), np.uint8), [2]))


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    frames = ball(3, (30, 40))
    for t, got in enumerate(extracted("laplacian", in_chunks(frames, [3]))["variance"]):
        grey = np.pad(cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY).astype(float), 1, mode="reflect")
        neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        assert got == pytest.approx((neighbours - 4 * grey[1:-1, 1:-1]).var(), rel=1e-12)


# Found with PySceneDetect 0.7.2's AdaptiveDetector(min_scene_len=1) on the same frames; the number is the
# first frame of the new scene. It finds none in the other 101 files.
SCENE_CUTS = {"fetv/gt/25": [12], "fetv/gt/272": [3], "fetv/gt/404": [9], "ucf/01": [5, 11], "ucf/14": [3]}


def test_cuts_equal_pyscenedetect_on_106_real_files(assets: Path) -> None:
    files = sorted(assets.glob("fetv/*/*.mp4")) + sorted(assets.glob("ucf/*.mp4"))
    assert len(files) == 106
    found = {}
    for path in files:
        content = extracted("content", list(decode(probe(path))))["hsv"]
        if at := [t + 1 for t in cuts(content, 3.0, 15.0, 2)]:
            found[str(path.relative_to(assets).with_suffix(""))] = at
    assert found == SCENE_CUTS


# --- conventions on toy geometry -----------------------------------------------------------------


def texture(size: int = 128, seed: int = 0) -> Frames:
    noise = np.random.default_rng(seed).normal(128, 60, (size, size)).clip(0, 255)
    return np.asarray(cv2.GaussianBlur(noise.astype(np.uint8), (0, 0), 2.5))


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, 2), (-2, 1)])
def test_flow_of_a_known_translation(dx: int, dy: int) -> None:
    image = texture()
    field = dis.flow(image, np.roll(image, (dy, dx), (0, 1)))
    inner = field[16:-16, 16:-16]
    assert np.abs(np.median(inner, (0, 1)) - (dx, dy)).max() < 0.1
    assert np.abs(inner - (dx, dy)).mean() < 0.2


def test_flow_depends_on_its_two_frames_alone() -> None:
    a, b = texture(seed=1), texture(96, seed=2)
    first = dis.flow(a, np.roll(a, 3, 1))
    dis.flow(b, np.roll(b, 9, 0))
    assert np.array_equal(first, dis.flow(a, np.roll(a, 3, 1)))


def test_warp_brings_the_next_frame_back() -> None:
    image = texture().astype(np.float32)
    field = np.zeros((128, 128, 2), np.float32)
    field[..., 0] = 5
    assert np.allclose(dis.warp(np.roll(image, 5, 1), field)[:, :-5], image[:, :-5], atol=1e-3)


def test_visible_mask_of_a_known_occlusion() -> None:
    """A square moves 8 pixels right over a still ground: the 8 columns it newly covers are hidden in the
    second frame, and so is nothing of the square itself."""
    fw, bw = (np.zeros((64, 64, 2), np.float32) for _ in range(2))
    fw[20:40, 16:32, 0] = 8  # the square in frame t
    bw[20:40, 24:40, 0] = -8  # the square in frame t+1
    mask = dis.visible(fw, bw)
    assert not mask[22:38, 33:39].any()  # ground that the square will cover
    assert mask[22:38, 18:30].all()  # inside of the square
    assert mask[50:60, 10:60].all()  # ground far away
    assert not mask[20:40, 31].any()  # motion boundary


def test_visible_mask_leaves_out_what_leaves_the_frame() -> None:
    fw = np.full((32, 32, 2), (4, 0), np.float32)
    mask = dis.visible(fw, -fw)
    assert mask[:, :28].all() and not mask[:, 28:].any()


def test_warping_error_sees_flicker_and_forgives_motion() -> None:
    image = np.repeat(texture()[..., None], 3, axis=2)
    moving = np.stack([np.roll(image, 2 * t, 1) for t in range(6)])
    flicker = np.stack(
        [(f.astype(float) * (1.0 if t % 2 else 0.8)).astype(np.uint8) for t, f in enumerate(moving)]
    )
    assert number("warping_error[dis]", moving) < 2e-4
    assert number("warping_error[dis]", flicker) > 20 * number("warping_error[dis]", moving)


def test_a_frozen_video_takes_the_extreme_values() -> None:
    still = np.repeat(ball(1), 8, axis=0)
    assert number("temporal_flicker", still) == 1
    assert number("temporal_ssim", still) == pytest.approx(1, abs=1e-12)
    assert number("frozen_frames", still) == 1
    assert number("scene_cuts", still) == 0
    assert number("warping_error[dis]", still) == pytest.approx(0, abs=1e-9)
    assert number("dynamic_degree[dis]", still) == 0
    assert number("flow_magnitude[dis]", still) == pytest.approx(0, abs=1e-3)


def test_frozen_frames_counts_repeats_and_small_motion_is_not_frozen() -> None:
    frames = ball(9, (96, 128), step=1)
    assert number("frozen_frames", frames) == 0
    repeated = np.repeat(frames[:5], 2, axis=0)
    assert number("frozen_frames", repeated) == pytest.approx(5 / 9)


@pytest.mark.parametrize(("frames", "pairs", "dynamic"), [(16, 4, 1), (16, 3, 0), (32, 8, 1), (32, 7, 0)])
def test_dynamic_degree_counts_as_vbench_does(frames: int, pairs: int, dynamic: int) -> None:
    top = np.full(frames - 1, 5.99)
    top[:pairs] = 6.01
    found = score_of("dynamic_degree[dis]", {"frames:dis-strided": {"top5": top}})
    assert found == Value(float(dynamic))


def test_dynamic_degree_takes_every_third_frame_of_24_fps() -> None:
    frames = ball(24, (60, 80))
    assert len(extracted("dis-strided", in_chunks(frames, [24], fps=24.0))["top5"]) == 7
    assert len(extracted("dis-strided", in_chunks(frames, [24], fps=8.0))["top5"]) == 23


def test_top_five_percent() -> None:
    lengths = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert dis._top5(lengths) == np.mean([95, 96, 97, 98, 99])


def test_scene_cut_is_counted_once() -> None:
    frames = np.concatenate([ball(8, seed=1), 255 - ball(8, seed=9)])
    assert number("scene_cuts", frames) == 1
    assert number("scene_cuts", ball(16)) == 0


@pytest.mark.parametrize(
    ("metric_id", "prompt", "reason"),
    [
        ("frozen_frames", {"motion": "none"}, "without motion"),
        ("dynamic_degree[dis]", {"motion": "none"}, "without motion"),
        ("scene_cuts", {"cuts": True}, "a change of scene"),
    ],
)
def test_annotations_decide_where_a_metric_applies(
    metric_id: str, prompt: dict[str, object], reason: str
) -> None:
    found = value(metric_id, ball(9), 8.0, **prompt)
    assert isinstance(found, Skip) and found.reason == Reason.PROMPT_EXCLUDES and reason in found.message
    assert isinstance(value(metric_id, ball(9)), Value)


PAIRWISE = [
    "temporal_flicker", "temporal_ssim", "frozen_frames", "scene_cuts", "warping_error[dis]",
    "dynamic_degree[dis]", "flow_magnitude[dis]",
]  # fmt: skip


@pytest.mark.parametrize("metric_id", PAIRWISE)
def test_one_frame_is_skipped_never_scored(metric_id: str) -> None:
    assert isinstance(value(metric_id, ball(1)), Skip)


Degrade = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


@pytest.mark.parametrize(
    ("metric_id", "degrade", "sign"),
    [
        ("temporal_flicker", lambda x, r: x * (1 + 0.1 * r.normal(size=(len(x), 1, 1, 1))), -1),
        ("temporal_ssim", lambda x, r: x + 12 * r.normal(size=x.shape), -1),
        ("sharpness", lambda x, r: np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in x]), -1),
        ("frozen_frames", lambda x, r: np.repeat(x[::2], 2, axis=0), +1),
        ("warping_error[dis]", lambda x, r: x * (1 + 0.1 * r.normal(size=(len(x), 1, 1, 1))), +1),
        ("flow_magnitude[dis]", lambda x, r: x[::2], +1),
    ],
)
def test_each_metric_answers_to_its_flaw(metric_id: str, degrade: Degrade, sign: int) -> None:
    moved = 0
    for seed in range(6):
        clean = ball(12, (72, 96), seed=seed, step=1.5)
        flawed = degrade(clean.astype(np.float64), np.random.default_rng(seed)).clip(0, 255).astype(np.uint8)
        moved += sign * (number(metric_id, flawed) - number(metric_id, clean)) > 0
    assert moved == 6


@pytest.mark.parametrize(
    ("count", "kept"), [(1, [0]), (3, [0, 1, 2]), (8, [1, 3, 5, 7]), (40, [5, 15, 25, 35])]
)
def test_stills_are_the_middles_of_equal_intervals(count: int, kept: list[int]) -> None:
    frames = ball(count, (60, 80), step=0.5)
    found = extracted("stills:4x64", in_chunks(frames, [count]))
    assert found["index"].tolist() == kept
    starts = np.cumsum(found["bytes"]) - found["bytes"]
    for number, start, size in zip(kept, starts, found["bytes"], strict=True):
        picture = cv2.imdecode(found["jpeg"][start : start + size], cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape == (48, 64, 3)  # 64 pixels on the longer side
        small = cv2.resize(frames[number], (64, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(picture[..., ::-1].astype(int) - small).mean() < 6


@pytest.mark.parametrize(
    "name", ["stills:", "stills:8", "stills:0x64", "stills:65x64", "stills:8x32", "stills:8x9999"]
)
def test_a_still_has_bounds(name: str) -> None:
    with pytest.raises(UsageError, match="write stills:COUNTxSIDE"):
        create(name)
