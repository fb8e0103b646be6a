"""Physics-IQ: goldens of the benchmark's own code, a small folder through the whole protocol beside a slow
plain version, and what is said before work starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evals import video
from evals.decoding import pairs
from evals.errors import MetricError, Reason, VideoError
from evals.extractors.physics_iq import PhysicsIq
from evals.metrics.physics_iq import Likeness, likeness, physics_iq_score
from evals.records import Normalization
from evals.runs.features import Features
from evals.video import Frames, encode
from tests.conftest import Cli, MakeClips, run_of
from tests.physics_iq_folder import FPS, build

Array = NDArray[np.float64]


def frames_of(path: Path) -> Frames:
    limits = video.Limits()
    found = video.probe(path, limits)
    chunks = video.decode(found, Normalization(), limits.chunk_bytes, found.facts.frames, [])
    return np.concatenate([chunk.new for chunk in chunks])


def compared(a: Frames, b: Frames, cut: int | None = None) -> Features:
    extractor = PhysicsIq()
    parts = [(a, b)] if cut is None else [(a[:cut], b[:cut]), (a[cut:], b[cut:])]
    steps = [*(extractor.step(x, y) for x, y in parts), extractor.finish()]
    return {n: np.concatenate([s[n] for s in steps if n in s]) for n in {n for s in steps for n in s}}


def test_it_equals_the_benchmarks_own_code(assets: Path) -> None:
    goldens = json.loads((assets / "golden" / "physics_iq.json").read_text())
    assert len(goldens) == 18
    for one in goldens.values():
        n = one["frames"]
        generated, take = (frames_of(assets / one[side])[:n] for side in ("generated", "reference"))
        features = compared(generated, take, cut=5)
        found = likeness(features)
        assert found.spatiotemporal == pytest.approx(one["spatiotemporal_iou"], abs=1e-6)
        assert found.spatial == pytest.approx(one["spatial_iou"], abs=1e-6)
        assert found.weighted == pytest.approx(one["weighted_spatial_iou"], abs=1e-6)
        assert found.mse == pytest.approx(one["mse"], abs=1e-6)
        fractions = [one["mask_fraction_generated"], one["mask_fraction_reference"]]
        assert features["moves"][0] == pytest.approx(fractions, abs=1e-6)


# --- a slow plain version, after the paper ---


def plain_masks(frames: Frames) -> list[Array]:
    """Masks by plain array operations; the running average and its rounding are OpenCV's, whose last bit
    decides ties."""
    found, average = [], None
    for frame in frames:
        grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (5, 5), 0)
        if average is None:
            average = grey.astype(np.float64)
            found.append(np.zeros(grey.shape))
            continue
        cv2.accumulateWeighted(grey, average, 0.3)
        apart = np.abs(grey.astype(int) - cv2.convertScaleAbs(average).astype(int))
        mask = apart > 10
        for size, first in ((5, np.min), (5, np.max)):  # open: erode, dilate; close: dilate, erode
            for how in (first, np.max if first is np.min else np.min):
                padded = np.pad(mask.astype(float), size // 2, constant_values=np.nan)
                shifted = [
                    padded[i : i + mask.shape[0], j : j + mask.shape[1]]
                    for i in range(size)
                    for j in range(size)
                ]
                stack = np.stack(shifted)
                mask = (np.nanmin(stack, 0) if how is np.min else np.nanmax(stack, 0)) > 0
        found.append(mask.astype(float) * 255)
    return found


def plain(generated: Frames, take: Frames) -> Likeness:
    size = (take.shape[2] // 4, take.shape[1] // 4)
    both = []
    for frames in (generated, take):
        masks = [cv2.resize(m.astype(np.uint8), size) > 127 for m in plain_masks(frames)]
        both.append(np.stack(masks))
    a, b = both
    st = [(x & y).sum() / (x | y).sum() if (x | y).any() else 1.0 for x, y in zip(a, b, strict=True)]
    spatial = (a.any(0) & b.any(0)).sum() / (a.any(0) | b.any(0)).sum()
    share = [a.mean(0), b.mean(0)]
    weighted = np.minimum(*share).sum() / np.maximum(*share).sum()
    small = [np.stack([cv2.resize(f, size) / 255 for f in frames]) for frames in (generated, take)]
    return Likeness(
        float(np.mean(st)), float(spatial), float(weighted), float(((small[0] - small[1]) ** 2).mean())
    )


def plain_score(rows: list[tuple[Likeness, Likeness]]) -> float:
    g = np.array([[r.spatiotemporal, r.spatial, r.weighted, r.mse] for r, _ in rows]).mean(0)
    p = np.array([[r.spatiotemporal, r.spatial, r.weighted, r.mse] for _, r in rows]).mean(0)
    return float(100 * np.clip((g[0] / p[0] + g[1] / p[1] + g[2] / p[2]) / 3 - (g[3] - p[3]), 0, 1))


@pytest.mark.slow
def test_the_whole_protocol_is_that_of_a_plain_version(tmp_path: Path, cli: Cli) -> None:
    benchmark, index, generated = build(tmp_path)
    before = sorted(p.name for p in tmp_path.rglob("*.mp4"))
    command = (
        "physics-iq",
        generated,
        "--benchmark",
        benchmark,
        "--descriptions",
        index,
        "--conditioned-on",
        "image",
    )
    done = cli(*command, "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    takes = benchmark / "split-videos" / "testing" / f"{FPS}FPS"
    rows: dict[str, list[tuple[Likeness, Likeness]]] = {}
    other: list[tuple[Likeness, Likeness]] = []
    for clip in sorted(generated.iterdir()):
        _, view, name = clip.stem.split("_", 2)
        first, second = (next(takes.glob(f"*_{view}_take-{k}_{name}.mp4")) for k in (1, 2))
        variance = plain(frames_of(first), frames_of(second))
        row = (plain(frames_of(clip), frames_of(first)), variance)
        rows.setdefault(name, []).append(row)
        other.append((plain(frames_of(clip), frames_of(second)), variance))
    every = [row for each in rows.values() for row in each]
    assert found["score"] == pytest.approx(plain_score(every), abs=1e-4)
    settings = {name: value["mean"] for name, value in found["settings"].items()}
    assert settings["all views, take 2"] == pytest.approx(plain_score(other), abs=1e-4)
    centre = [
        row for i, row in enumerate(every) if i % 3 == 0
    ]  # files sort center, left, right within a scenario
    assert len(centre) == 2 and len(settings) == 4
    categories = {name: value["mean"] for name, value in found["categories"].items()}
    assert categories["Solid Mechanics"] == pytest.approx(plain_score(rows["trimmed-ball-falls"]), abs=1e-4)
    assert sorted(p.name for p in tmp_path.rglob("*.mp4")) == before  # nothing is renamed
    assert found["complete"] is False and "incomplete" in " ".join(found["labels"]) and found["sd"] is None
    table = (tmp_path / "out" / "physics-iq.csv").read_text().splitlines()
    assert len(table) == 7 and table[0].startswith("run,id,scenario,view,category,take1_spatiotemporal")


def test_several_runs_give_a_mean_and_a_spread_and_text_is_labelled(tmp_path: Path, cli: Cli) -> None:
    benchmark, _, generated = build(tmp_path)
    takes = benchmark / "split-videos" / "testing" / f"{FPS}FPS"
    real = tmp_path / "real"
    real.mkdir()
    for path in takes.glob("*_take-1_*"):  # the takes themselves, as a perfect model would make them
        shutil.copy(path, real / f"{path.name[:4]}_perfect.mp4")
    command = ("physics-iq", generated, real, "--benchmark", benchmark, "--conditioned-on", "text")
    done = cli(*command, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "out" / "physics-iq.json").read_text())
    assert document["runs"][1] == 100.0 and document["sd"] == pytest.approx(np.std(document["runs"], ddof=1))
    assert (
        "± " in done.out and "sd of 2 runs" in done.out and "text only: the model was not shown" in done.out
    )
    again = cli(*command, "--out", tmp_path / "out", "--json")
    assert json.loads(again.out)["runs"] == document["runs"]  # from what is stored


def test_what_is_missing_is_said_before_work_starts(tmp_path: Path, cli: Cli) -> None:
    benchmark, index, generated = build(tmp_path)
    clips = sorted(generated.iterdir())
    clips[0].unlink()
    frames = frames_of(clips[1])
    encode(clips[1], list(frames[:30]), FPS)
    shutil.copy(clips[2], generated / "0777_other.mp4")
    clips[3].write_bytes(b"no video")
    takes = benchmark / "split-videos" / "testing" / f"{FPS}FPS"
    next(takes.glob("0012_*")).unlink()
    command = (
        "physics-iq",
        generated,
        "--benchmark",
        benchmark,
        "--descriptions",
        index,
        "--conditioned-on",
        "image",
    )
    done = cli(*command, "--out", tmp_path / "out")
    assert done.code == 2 and not (tmp_path / "out").exists()
    for said in (
        "0001 (trimmed-ball-falls, perspective-left): no generated clip", "lasts 3.75 s, not 5 s",
        "0777_other.mp4: the benchmark has no scene 0777", "cannot be read as a video",
        "trimmed-water-flows, perspective-right: no real take 2", "--partial",
    ):  # fmt: skip
        assert said in done.err, said
    done = cli(*command, "--out", tmp_path / "out", "--partial", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["complete"] is False and len(found["left_out"][str(generated)]) == 5


@pytest.mark.parametrize("what", ["rate", "empty", "no folder", "two of one id", "rates", "out"])
def test_folders_that_cannot_be_used_are_named(what: str, tmp_path: Path, cli: Cli) -> None:
    benchmark, index, generated = build(tmp_path)
    said = {
        "rate": "no real takes at 8 frames per second", "empty": "no clip's name begins with an id",
        "no folder": "no such folder of clips", "two of one id": "two clips have the id 0001",
        "rates": "16 frames per second, not 8", "out": "no folder can be made there",
    }[what]  # fmt: skip
    out = tmp_path / "out"
    takes = benchmark / "split-videos" / "testing" / f"{FPS}FPS"
    if what == "rate":
        takes.rename(takes.with_name("30FPS"))
    elif what == "empty":
        for path in generated.iterdir():
            path.rename(path.with_name(f"x{path.name}"))
    elif what == "no folder":
        generated = tmp_path / "nowhere"
    elif what == "two of one id":
        shutil.copy(next(generated.glob("0001*")), generated / "0001_again.mp4")
    elif what == "rates":
        one = next(generated.glob("0001*"))
        encode(one, list(frames_of(one)), 16)
    else:
        out.write_text("a file")
    command = (
        "physics-iq",
        generated,
        "--benchmark",
        benchmark,
        "--descriptions",
        index,
        "--conditioned-on",
        "image",
    )
    done = cli(*command, "--out", out)
    assert done.code == 2 and said in done.err


def test_a_score_is_a_ratio_of_means_within_0_and_100() -> None:
    take = Likeness(0.5, 0.5, 0.5, 0.01)
    assert physics_iq_score([take, take], [take, take]) == pytest.approx(100)
    assert physics_iq_score([Likeness(0, 0, 0, 1.0)], [take]) == 0
    ours = [Likeness(0.4, 0.2, 0.2, 0.02), Likeness(0.0, 0.2, 0.2, 0.02)]
    theirs = [Likeness(0.8, 0.4, 0.4, 0.02), Likeness(0.2, 0.4, 0.4, 0.02)]
    assert physics_iq_score(ours, theirs) == pytest.approx(100 * (0.4 + 0.5 + 0.5) / 3)


def test_takes_without_common_motion_and_folders_given_twice_are_refused(tmp_path: Path, cli: Cli) -> None:
    with pytest.raises(MetricError, match="no motion in common"):
        physics_iq_score([Likeness(0.5, 0.5, 0.5, 0.0)], [Likeness(0.0, 0.0, 0.0, 0.1)])
    benchmark, index, generated = build(tmp_path)
    index.write_text("scenario,category\n0001_perspective-left_take-1_trimmed-ball-falls.mp4\n")
    command = (
        "physics-iq",
        generated,
        "--benchmark",
        benchmark,
        "--conditioned-on",
        "image",
        "--out",
        tmp_path / "o",
    )
    done = cli(*command, generated / ".")
    assert done.code == 2 and "given twice" in done.err
    assert cli(*command, "--descriptions", index).code == 0  # a row without a category


def test_only_extractors_that_say_so_take_two_sizes(tmp_path: Path) -> None:
    sizes = [(96, 64), (48, 32)]
    paths = []
    for k, (w, h) in enumerate(sizes):
        path = tmp_path / f"{k}.mp4"
        encode(path, [np.full((h, w, 3), 90, np.uint8)] * 8, 8)
        paths.append(path)
    sides = [video.probe(path, video.Limits()) for path in paths]
    pairs.check(sides[0], sides[1], Normalization(), [8, 8], one_size=False)
    with pytest.raises(VideoError, match="frames of two sizes don't compare") as error:
        pairs.check(sides[0], sides[1], Normalization(), [8, 8])
    assert error.value.reason is Reason.OTHER_SIZE


def test_a_pair_of_equal_videos_is_100(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    assert (
        compared_value(np.repeat(np.arange(0, 240, 20, dtype=np.uint8), 64 * 48 * 3).reshape(12, 48, 64, 3))
        == 100
    )
    made = clips("a").write(1)
    done = cli(*run_of(made.folder, tmp_path), "--metrics", "physics_iq")
    assert "physics_iq is of two videos" in done.err


def compared_value(frames: Frames) -> float:
    from evals.metrics.physics_iq import PhysicsIqPair

    return PhysicsIqPair().pooled(compared(frames, frames))
