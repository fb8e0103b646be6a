"""Two lines from anywhere: plain folders, the functions of `evals`, and what the terminal shows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import evals
from evals.compare import Rules, compare_scores
from evals.errors import MetricError, Reason, UsageError
from evals.metrics.frechet import frechet_distance
from evals.metrics.training import FrameConsistency, TemporalFlicker
from evals.report import terminal
from evals.report.numbers import percent
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import Cli, ball
from tests.test_verdicts import LOOK, MATCH, metric, run

FAST = ("temporal_flicker", "sharpness")
TEXTUAL = "object_presence[efficientnet-lite0]"


@pytest.fixture(autouse=True)
def inside(tmp_path: Path) -> Iterator[None]:
    """Relative names are written as users write them."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)


def plain(folder: str, names: tuple[str, ...] = ("a dog", "b"), seed: int = 0) -> Path:
    """A folder of clips without a manifest; the first clip has its prompt in a text file beside it."""
    path = Path(folder)
    path.mkdir(parents=True)
    for i, name in enumerate(names):
        encode(path / f"{name}.mp4", ball(8, seed=seed + i), 8, "h264", 20)
    (path / f"{names[0]}.txt").write_text("a dog\n by a lake\n")
    return path


def test_folders_without_a_manifest_pair_by_file_name(cli: Cli) -> None:
    plain("clips/A"), plain("clips/B", ("a dog", "b", "c"), seed=5)
    done = cli("score", "clips/A", "clips/B", "--metrics", ",".join((*FAST, TEXTUAL)))
    assert done.code == 0, done.err
    assert "clips/A: a folder of clips; its run is runs/A" in done.err
    assert "the prompts of 1 of 2 clips are not known" in done.err
    assert "A against B" in done.out and "temporal_flicker" in done.out
    opened = RunFolder(Path("runs/A"))
    known = {p.text: p.text_known for p in opened.prompts.values()}
    assert known == {"a dog by a lake": True, "b": False}
    scores = opened.scores("native")
    assert scores["b", 0][TEXTUAL].reason == Reason.NO_PROMPT_TEXT
    assert [s.status for at, found in scores.items() if at[0] != "b" for s in found.values()] == ["ok"] * 3
    assert set(RunFolder(Path("runs/B")).prompts) >= set(opened.prompts)  # the same names, the same prompts


def test_names_are_prompts_only_where_asked_for(cli: Cli) -> None:
    plain("clips/A")
    base = ("run", "--generator", "folder:clips/A", "--metrics", "temporal_flicker", "--name", "named")
    assert cli(*base, "-o", "prompt_from=name").code == 0
    assert {p.text for p in RunFolder(Path("runs/named")).prompts.values()} == {"a dog by a lake", "b"}
    assert all(p.text_known for p in RunFolder(Path("runs/named")).prompts.values())


def test_compare_takes_folders_and_scores_them_with_the_suite(cli: Cli) -> None:
    plain("clips/A"), plain("clips/B", seed=5)
    Path("fast.yaml").write_text("metrics: [temporal_flicker, sharpness]\n")
    base = ("compare", "clips/A", "clips/B", "--suite", "fast.yaml", "--videos", 0)
    done = cli(*base, "--baseline", "clips/B", "--out", "report")
    assert done.code == 0, done.err
    data = json.loads(Path("report/comparison.json").read_text())
    assert data["baseline"] == "B" and {(p["a"], p["b"]) for p in data["pairs"]} == {("A", "B")}
    assert "Against B:" in done.out
    document = json.loads(cli(*base, "--out", "report", "--json").out)
    assert {m["metric"] for m in document["means"]} == {*FAST, "seconds_per_video"} or {*FAST} <= {
        m["metric"] for m in document["means"]
    }


def test_two_folders_of_one_name_are_two_runs(cli: Cli) -> None:
    plain("one/A"), plain("two/A", seed=5)
    assert cli("score", "one/A", "two/A", "--metrics", "temporal_flicker").code == 0
    assert len(list(Path("runs").iterdir())) == 2


def test_evaluate_gives_tables_and_an_answer() -> None:
    plain("clips/A"), plain("clips/B", seed=5)
    alone = evals.evaluate("clips/A", metrics=FAST)
    assert list(alone.summary.columns) == ["A"] and len(alone.scores) == 4 and alone.pairs.empty
    both = evals.evaluate(
        {"first": "clips/A", "second": "clips/B"}, metrics=FAST, baseline="second", out="kept"
    )
    assert list(both.summary.columns) == ["first", "second"]
    assert set(both.summary.index) >= set(FAST) and set(both.pairs["verdict"]) == {"inconclusive"}
    assert "sharpness" in repr(both) and "Against second" in repr(both)
    assert "<table" in both._repr_html_() and "Against second" in both._repr_html_()
    assert both.report("page").name == "index.html" and Path("page/pairs.csv").exists()
    assert RunFolder(Path("kept/first")).info.status == "scored"
    with pytest.raises(UsageError, match="no such folder"):
        evals.evaluate("clips/none", metrics=FAST)
    with pytest.raises(UsageError, match="no such model"):
        evals.evaluate({"a": "clips/A"}, metrics=FAST, baseline="b")


def test_score_gives_a_row_per_video() -> None:
    folder = plain("clips/A")
    videos = [folder / "b.mp4", folder / "a dog.mp4", folder / "gone.mp4"]
    table = evals.score(videos, [*FAST, TEXTUAL], prompts=["a dog", "nothing known", "a dog"])
    assert list(table.columns) == ["video", *FAST, TEXTUAL, "problems"]
    assert table[list(FAST)].notna().all(axis=1).tolist() == [True, True, False]
    assert np.isnan(table[TEXTUAL][1]) and "no subject" in table["problems"][1]
    assert "gone.mp4: no such file" in table["problems"][2]
    without = evals.score(videos[:1], [TEXTUAL, "sharpness"])
    assert np.isnan(without[TEXTUAL][0]) and "not known" in without["problems"][0]
    for files, names, words in (
        ([], FAST, None), (videos, FAST, ["one"]), (videos, ["kvd[efficientnet-lite0]"], None),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            evals.score(files, names, prompts=words)


def test_fvd_of_two_folders_is_the_distance_of_their_features() -> None:
    """Against features encoded one by one, without a run."""
    from evals.encoders import create
    from evals.records import Normalization
    from evals.video import Limits, decode, probe

    sides = [plain("a", ("x", "y", "z")), plain("b", ("x", "y", "z"), seed=5)]
    found = evals.fvd("a", "b", encoder="efficientnet-lite0")
    assert (found.n, found.n_reference) == (3, 3) and float(found) == found.value
    assert any("too few" in text for text in found.warnings)
    encoder = create("efficientnet-lite0", {})
    encoder.load("cpu")
    means = []
    for side in sides:
        rows = []
        for path in sorted(side.glob("*.mp4")):
            frames = np.concatenate([c.new for c in decode(probe(path, Limits()), Normalization(), 1 << 26)])
            windows = np.stack([encoder.resize.apply(frame) for frame in frames])[:, None]
            rows.append(encoder.encode(torch.from_numpy(windows))["features"].mean((0, 1)).numpy())
        means.append(np.stack(rows))
    assert found.value == pytest.approx(frechet_distance(means[0], means[1]), rel=1e-3)


def test_training_metrics_refuse_other_ranges_and_axes() -> None:
    """Floats up to 255 gave −83.85, and (B, C, T, H, W) a number for channels."""
    videos = torch.rand(2, 5, 3, 8, 8)
    TemporalFlicker().update(videos)
    TemporalFlicker().update((videos * 255).to(torch.uint8))
    with pytest.raises(MetricError, match=r"these go from .* to 2"):
        TemporalFlicker().update(videos * 255)
    with pytest.raises(MetricError, match=r"looks like \(B, C, T, H, W\)"):
        TemporalFlicker().update(videos.transpose(1, 2))
    with pytest.raises(MetricError, match=r"looks like \(B, C, T, H, W\)"):
        FrameConsistency(lambda x: x.flatten(1)).update(videos.transpose(1, 2))
    FrameConsistency(lambda x: x.flatten(1)).update(torch.rand(2, 3, 8, 8, 3))  # three frames, channels last


def test_the_table_fits_marks_the_best_and_obeys_no_terminal_code() -> None:
    rng = np.random.default_rng(0)
    infos = [
        MATCH,
        LOOK,
        metric("a_metric_with_a_very_long_name[some/extractor-with-a-name]", aspect="motion"),
    ]
    runs = []
    for k, label in enumerate(["first", "second-with-a-long-name", "third\x1b[31m", "four", "five", "six"]):
        runs.append(run(label, {i.id: rng.normal(2 * k, 1, 30) for i in infos}, infos))
    text = terminal.table(compare_scores(runs), 80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text and "\\x1b" in text.replace("\n", "")
    best = [line for line in text.splitlines() if line.strip().startswith("match")]
    assert "*" in best[-1] and "*" not in best[0].split()[2]
    against = terminal.table(compare_scores(runs[:3], rules=Rules(baseline="first")), 80)
    assert "better" in against and max(len(line) for line in against.splitlines()) <= 80
    coloured = terminal.table(compare_scores(runs[:2]), 100, colour=True)
    assert "\x1b[" in coloured


@pytest.mark.parametrize(("value", "text"), [
    (None, ""), (0.123, "+12 %"), (-0.0312, "−3.1 %"), (0.0004, "+0.04 %"), (12.0, "×13"), (float("inf"), ""),
])  # fmt: skip
def test_differences_in_per_cent(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_controls_show_which_metrics_rank_worse_copies_right(cli: Cli) -> None:
    names = tuple(f"clip-{i}" for i in range(8))
    plain("clips/A", names)
    metrics = "temporal_flicker,frozen_frames,blur"
    assert cli("score", "clips/A", "--metrics", metrics).code == 0
    done = cli("compare", "runs/A", "--controls", "--videos", 0, "--out", "report")
    assert done.code == 0, done.err
    data = json.loads(Path("report/comparison.json").read_text())
    found = {(c["control"], c["metric"]): c["outcome"] for c in data["controls"]}
    assert found["still", "temporal_flicker"] == "wrong"  # a still picture has its best value
    assert found["still", "frozen_frames"] == "right" and found["blurred", "blur"] == "right"
    assert found["other prompts", "temporal_flicker"] == "open"
    assert "✗" in done.out and "ranks the control below" in done.out


def test_lists_are_json_too(cli: Cli) -> None:
    metrics = json.loads(cli("list", "metrics", "--json").out)
    presence = next(m for m in metrics if m["name"] == "object_presence[efficientnet-lite0]")
    assert (
        presence["aspect"] == "alignment" and presence["role"] == "primary" and "quick" in presence["suites"]
    )
    for command in (
        ("list", "suites"),
        ("list", "encoders"),
        ("list", "prompts"),
        ("doctor",),
        ("weights", "list"),
    ):
        assert json.loads(cli(*command, "--json").out)
