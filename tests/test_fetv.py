"""The main job on real clips: four text-to-video models and real footage, from folders to report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evals.compare import load_runs
from evals.compare.vectors import vectors_of
from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.generators import create
from evals.metrics import suites
from evals.metrics.frechet import frechet_distance
from evals.runs.folder import RunFolder
from evals.scoring import prepare, score_run
from tests.conftest import Cli, call
from tests.helpers import PLAIN
from tests.test_run import rows, scores

MODELS = ["cogvideo", "text2video-zero", "videofusion", "zeroscope", "gt"]
TINY = "tiny/random"
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def runs(assets: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five folders scored with `quick` and the Fréchet distance's features."""
    out = tmp_path_factory.mktemp("fetv")
    metrics = prepare([*suites.load("quick").metrics, f"fvd[{TINY}]"], {TINY: tiny_clip})
    with Resources() as resources:
        for model in MODELS:
            config = RunConfig(create(f"folder:{assets / 'fetv' / model}"), out / model)
            score_run(generate_run(config, resources), metrics, resources=resources)
    return out


def test_flicker_equals_vbench_through_the_whole_job(runs: Path, assets: Path) -> None:
    golden = json.loads((assets / "golden/vbench_temporal_flickering.json").read_text())
    checked = 0
    for model in MODELS:
        run = RunFolder(runs / model)
        for at, found in run.scores("native").items():
            name = f"fetv/{model}/{at[0].removeprefix('fetv-')}.mp4"
            assert found["temporal_flicker"].value == pytest.approx(golden[name], abs=1e-6)
            checked += 1
    assert checked == 90


def test_five_folders_into_one_report(runs: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = cli("compare", *[runs / m for m in MODELS], "--reference", runs / "gt", "--out", out)
    assert done.code == 0, done.err
    assert (
        "differ in size, frames" in done.err and "--normalize fps=10,seconds=1.6,short_side=120" in done.err
    )
    assert "N = 18 against 18 is far too few" in done.err
    sets = pd.read_csv(out / "distributions.csv")
    videos = sets[~sets["metric"].str.startswith("fid_frames")]
    assert set(videos["n"]) == {18} == set(videos["n_reference"])
    assert list(sets.loc[sets["metric"] == f"fvd[{TINY}]", "run"]) == MODELS[:4]
    # What was made for simulated worlds is left out without a word.
    assert not sets["metric"].str.contains("embedded").any() and "embedded" not in done.err
    left_out = json.loads((out / "comparison.json").read_text())["left_out"]
    assert set(left_out) == {"clip_similarity[embedded]", "fvd[embedded]", "kvd[embedded]"}
    pairs = pd.read_csv(out / "pairs.csv")
    whole = pairs[~pairs["metric"].str.contains("efficientnet|tiny")]
    assert len(whole) == 13 * 10 and set(whole["n_pairs"]) == {18}
    presence = pairs[pairs["metric"] == "object_presence[efficientnet-lite0]"]
    assert set(presence["n_pairs"]) == {12} and set(presence["coverage"]) == {1.0}
    assert len(list((out / "media").glob("*.mp4"))) == 90
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 90 * 15
    subjects = scores["metric"] == "object_presence[efficientnet-lite0]"
    assert set(scores.loc[~subjects, "status"]) == {"ok"}
    assert (scores.loc[subjects, "status"] == "skipped").sum() == 6 * 5


def test_reference_may_be_a_folder(
    runs: Path, assets: Path, cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    name = f"fvd[{TINY}]"
    base = ("compare", runs / "zeroscope", "--videos", 0, "--weights", f"{TINY}={tiny_clip}")
    assert cli(*base, "--reference", assets / "fetv" / "gt", "--out", tmp_path / "a").code == 0
    assert cli(*base[:4], "--reference", runs / "gt", "--out", tmp_path / "b").code == 0
    sets = [pd.read_csv(tmp_path / x / "distributions.csv") for x in "ab"]
    a, b = (frame[frame["metric"] == name] for frame in sets)
    assert a["value"].item() == b["value"].item()
    chosen = prepare([f"fvd[{TINY}]"], {TINY: tiny_clip})
    metric = chosen.distribution[f"fvd[{TINY}]"]
    both = [
        np.stack(vectors_of(load_runs([runs / m])[0], f"fvd[{TINY}]", metric).rows)
        for m in ("zeroscope", "gt")
    ]
    assert both[0].shape == (18, 32)
    assert a["value"].item() == pytest.approx(frechet_distance(both[0], both[1]), rel=1e-12)


def test_normalized_they_are_alike(runs: Path, cli: Cli, tmp_path: Path) -> None:
    normalization = "fps=5,seconds=1.6,short_side=120"
    copies = []
    for model in ("gt", "text2video-zero"):
        copies.append(shutil.copytree(runs / model, tmp_path / model))
    assert cli("score", *copies, "--normalize", normalization).code == 0
    done = cli("compare", *copies, "--normalize", normalization, "--videos", 0, "--out", tmp_path / "out")
    assert done.code == 0 and "differ in" not in done.err
    for copy in copies:
        run = RunFolder(copy)
        found = {(n, s.status) for f in run.scores(normalization).values() for n, s in f.items()}
        assert {n for n, status in found if status != "ok"} == {
            "clip_similarity[embedded]", "object_presence[efficientnet-lite0]", "blockiness",
        }  # fmt: skip
        shapes = {name.partition("/")[2]: len(data) for name, data in rows(copy).items()}
        assert shapes["magnitude"] in (
            8 * n for n in (7, 15, 31)
        )  # pairs: 7 of 8 normalised frames, or native
    both = cli("compare", *copies, "--videos", 0, "--out", tmp_path / "native")
    assert "differ in size, frames" in both.err


def test_three_workers_give_the_same_bits_on_real_clips(
    runs: Path, assets: Path, tmp_path: Path, cli: Cli
) -> None:
    for workers in (1, 3):
        out = tmp_path / str(workers)
        done = cli(
            "run",
            "--generator",
            f"folder:{assets / 'fetv/gt'}",
            "--out",
            out,
            "--workers",
            workers,
            "--metrics",
            PLAIN,
        )
        assert done.code == 0
        mine = rows(out / "gt")
        assert {k: v for k, v in rows(runs / "gt").items() if k in mine} == mine and len(mine) >= 18 * 9
        native = scores(runs / "gt")
        assert {at: {m: native[at][m] for m in s} for at, s in scores(out / "gt").items()} == scores(
            out / "gt"
        )


def test_videophy2_and_its_extra_columns(assets: Path, tmp_path: Path) -> None:
    golden = json.loads((assets / "golden/vbench_temporal_flickering.json").read_text())
    generator = f"folder:{assets / 'videophy2'}"
    done = call("run", "--generator", generator, "--out", tmp_path, "--metrics", "temporal_flicker")
    assert done.code == 0 and done.err.count("columns that are not used") == 1
    run = RunFolder(tmp_path / "videophy2")
    found = {
        Path(str(s.video)).name: run.scores("native")[at]["temporal_flicker"].value
        for at, s in run.samples().items()
    }
    assert len(found) == 5
    for name, value in found.items():
        assert value == pytest.approx(golden[f"videophy2/{name}"], abs=1e-6)
    assert all(np.isfinite(v) for v in found.values() if v is not None)
