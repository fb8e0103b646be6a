"""`validate`: degradations, detections by hand, and the committed claims on real clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evals.decoding.resources import Progress, Resources
from evals.errors import ConfigError, UsageError
from evals.metrics import METRICS
from evals.scoring import prepare
from evals.validate import load_claims, sources, validate_metrics
from evals.validate.degrade import DEGRADATIONS
from evals.validate.detection import detect
from tests.conftest import Cli, MakeClips, ball


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_degradations_keep_shape_and_repeat(name: str) -> None:
    clip = ball(10, (40, 60), step=3.0)
    claims = load_claims()
    before = clip.copy()
    moved = []
    for strength in claims.strengths[name]:
        made, again = (DEGRADATIONS[name](clip, strength, np.random.default_rng(3)) for _ in range(2))
        assert made.shape == clip.shape and made.dtype == np.uint8 and np.array_equal(made, again)
        moved.append(float(np.abs(made.astype(float) - clip).mean()))
    assert np.array_equal(clip, before)
    if name == "codec":
        assert not any(moved)  # the writer does it
    else:
        assert moved[-1] > 2 * moved[0] and moved[-1] > 0.5


def test_what_degradations_do_by_hand() -> None:
    clip = np.stack([np.full((4, 6, 3), 20 * t, np.uint8) for t in range(11)])
    rng = np.random.default_rng(0)
    frozen = DEGRADATIONS["freeze"](clip, 0.5, rng)[:, 0, 0, 0]
    assert frozen.tolist() == [0, 20, 40, 60, 80, 100, 100, 100, 100, 100, 100]
    dropped = DEGRADATIONS["drops"](clip, 0.4, rng)[:, 0, 0, 0].astype(int)
    assert (np.diff(dropped) == 0).sum() == 4 and set(dropped) <= set(range(0, 201, 20))
    shuffled = DEGRADATIONS["shuffle"](clip, 1.0, rng)[:, 0, 0, 0]
    assert sorted(shuffled) == clip[:, 0, 0, 0].tolist() and shuffled.tolist() != clip[:, 0, 0, 0].tolist()
    coloured = np.full((2, 2, 2, 3), [200, 100, 50], np.uint8)
    grey = DEGRADATIONS["fade"](coloured, 1.0, rng)
    assert len({int(v) for v in grey[0, 0, 0]}) == 1
    assert DEGRADATIONS["expose"](coloured, 1.5, rng)[0, 0, 0].tolist() == [255, 150, 75]


def test_detections_by_hand() -> None:
    rng = np.random.default_rng(0)
    steps = np.array([0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0])
    base = rng.normal(0, 1, (24, 1))
    falling = base - steps * rng.uniform(0.8, 1.2, (24, 1))
    seen = detect(falling, "falls", 6, False, 0)
    assert seen.holds and seen.monotone and seen.agree == 1.0 and seen.detected_at == 1
    assert detect(falling, "rises", 6, False, 0).holds is False
    assert detect(falling, None, 6, False, 0).way == "falls"
    assert detect(falling, None, 6, False, 0).holds is None
    flat = base + np.zeros(7)
    nothing = detect(flat, "falls", 6, False, 0)
    assert nothing.detected_at is None and nothing.holds is False
    # Turns after the fourth strength: a claim up to there holds, one to the end doesn't.
    turning = base - np.array([0, 0.1, 0.3, 0.6, 1.0, 0.5, 0.2]) * rng.uniform(0.8, 1.2, (24, 1))
    assert (
        detect(turning, "falls", 4, False, 0).holds and detect(turning, "falls", 6, False, 0).holds is False
    )
    # The mean falls, but in a third of the clips nothing does.
    some = falling.copy()
    some[:8] = base[:8]
    assert detect(some, "falls", 6, False, 0).agree == pytest.approx(16 / 24)
    assert detect(some, "falls", 6, False, 0).holds is False
    # Yes/no: no clip can rank seven strengths, the mean decides.
    binary = (np.linspace(0, 1, 40)[:, None] > np.linspace(0, 0.9, 7)).astype(float)
    assert detect(binary, "falls", 6, True, 0).holds
    lost = np.where(np.arange(24)[:, None] < 2, np.nan, falling)
    assert detect(lost, "falls", 6, False, 0).holds


def test_claims_name_metrics_that_exist(tmp_path: Path) -> None:
    claims = load_claims()
    assert {metric for metric, _ in claims.ways} <= set(METRICS)
    assert all(len(values) == 6 for values in claims.strengths.values())
    assert all(list(v) == sorted(v) for v in claims.strengths.values())
    path = tmp_path / "claims.yaml"
    for text, message in (
        ("strengths: {smear: [1]}\nclaims: {}\n", "smear"),
        ("strengths: {noise: [1, 2]}\nclaims: {sharpness: {falls: [blur]}}\n", "sharpness: 'blur'"),
        ("claims: {}\n", "has the keys"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_claims(path)


def test_too_few_clips_and_unknown_degradations(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(3)
    base = ("validate", made.folder, "--metrics", "temporal_flicker", "--out", tmp_path / "v")
    few = cli(*base)
    assert few.code == 2 and "3 clips are too few" in few.err
    unknown = cli(*base, "--only", "smear")
    assert unknown.code == 2 and "smear" in unknown.err and "blur" in unknown.err
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no videos"):
        sources([tmp_path / "empty"], 3)


@pytest.mark.slow
def test_the_command_detects_and_resumes(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(20, frames=6)
    out = tmp_path / "v"
    base = ("validate", made.folder, "--metrics", "temporal_flicker,sharpness", "--out", out)
    found = cli(*base, "--only", "noise", "--only", "blur")
    assert found.code == 0, found.err
    table = (out / "table.md").read_text()
    assert "| metric | noise | blur |" in table and "| `temporal_flicker` | **↓ 2** (100%)" in table
    verdicts = {(v["metric"], v["degradation"]): v for v in json.loads((out / "detections.json").read_text())}
    assert verdicts["temporal_flicker", "blur"]["claimed"] is None
    written = {p: p.stat().st_mtime_ns for p in out.glob("ladder-*/clips/*.mkv")}
    assert len(written) == 20 * 13
    again = cli(*base, "--only", "noise", "--only", "blur")
    assert again.code == 0 and (out / "table.md").read_text() == table
    claims = tmp_path / "mine.yaml"
    claims.write_text(
        "strengths: {noise: [2, 4, 8, 16, 32, 64]}\nclaims: {temporal_flicker: {rises: [noise]}}\n"
    )
    wrong = cli(*base, "--claims", claims)
    assert wrong.code == 1 and "claimed and not detected: temporal_flicker on noise" in wrong.err
    assert all(p.stat().st_mtime_ns == t for p, t in written.items())


FAST = (
    "temporal_flicker", "temporal_ssim", "frozen_frames", "sharpness", "colorfulness", "exposure_clipping",
)  # fmt: skip
FLOW = (
    "warping_error[dis]", "dynamic_degree[dis]", "flow_magnitude[dis]", "motion_smoothness[dis]",
    "temporal_quality[dis]",
)  # fmt: skip


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("names", "only", "least"),
    [(FAST, ("noise", "blur", "freeze"), 3), pytest.param((*FAST, *FLOW), (), 20, marks=pytest.mark.nightly)],
)
def test_the_committed_claims_hold_on_real_clips(
    names: tuple[str, ...], only: tuple[str, ...], least: int, assets: Path, tmp_path: Path
) -> None:
    claims = load_claims()
    folders = [assets / "fetv" / "gt", assets / "ucf"]
    with Resources(device="cpu") as resources:
        found = validate_metrics(folders, prepare(names), claims, only, 10, tmp_path, resources, Progress())
    failed = {key for key, v in found.items() if v.holds is False}
    # Claimed, and not so: see docs/metrics.md. Its mean is that of a few clips.
    assert failed <= {("warping_error[dis]", "flicker")}
    assert len([key for key, v in found.items() if v.holds]) >= least
