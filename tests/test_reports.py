"""What a report is made of: the matrix, the recipe, the viewer's data and media, the exports."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evals.compare import compare_scores, load_runs
from evals.compare.results import Caution
from evals.decoding.pool import Pool
from evals.errors import RunLocked
from evals.report import PageOptions, write_report
from evals.report.matrix import matrices
from evals.report.page import curves, script
from evals.report.page.rows import first_prompts, rows_of
from evals.report.place import writing
from evals.report.recipe import differences, explained, recipe
from evals.report.remedies import REMEDIES
from evals.video import encode, probe, read
from tests.conftest import ROOT, Cli, MakeClips, ball, run_of
from tests.test_figures import of

METRICS = "temporal_flicker,frozen_frames,scene_cuts,sharpness,warping_error[dis]"


@pytest.fixture
def two(clips: MakeClips, cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of three prompts. In b, the second prompt's clip stands still and then cuts."""
    places = []
    for name in ("a", "b"):
        made = clips(name).write(3, frames=24)
        if name == "b":
            clip = ball(24, seed=17)
            clip[6:12] = clip[6]
            clip[12:] = 255 - clip[12:]
            encode(made.folder / "1-0.mkv", list(clip), 8, "ffv1")
            for same in ("0-0.mkv", "2-0.mkv"):  # the same bytes, too
                shutil.copy(made.folder.parent / "a" / same, made.folder / same)
        assert cli(*run_of(made.folder, tmp_path / "runs", "--metrics", METRICS)).code == 0
        places.append(tmp_path / "runs" / name)
    return places[0], places[1]


def handed_over(path: Path) -> Any:
    """The value of a script in `data/`."""
    text = path.read_text()
    found = re.fullmatch(r"\(globalThis\.t2vEvals \?\?= \{\}\)\[\"[\w-]+\"\] = (.*);\n", text, re.DOTALL)
    assert found is not None, text[:80]
    return json.loads(found[1])


# --- the matrix ---


def test_a_matrix_for_every_model_says_the_same_from_both_sides() -> None:
    found = of({"a": 0.0, "b": 3.0})
    one, other = matrices(found)
    assert (one.baseline, other.baseline) == ("a", "b") and one.aspects == ["motion", "appearance"]
    for i in range(2):
        ahead, behind = one.lines[1].cells[i], other.lines[0].cells[i]
        assert ahead.gain is not None and behind.gain is not None
        assert ahead.gain == -behind.gain and ahead.low == -(behind.high or 0)
        assert (ahead.verdict, behind.verdict) == ("better", "worse") and ahead.best and not behind.best
    assert one.lines[0].videos == "24 of 24"


def test_every_warning_has_something_to_do() -> None:
    assert set(REMEDIES) == set(Caution)


def test_categories_are_exact_means_of_their_prompts() -> None:
    """The gains of two equal halves average to the whole's."""
    [standing] = of({"a": 0.0, "b": 3.0}).standings
    for one in standing.aspects:
        mine = [c for c in standing.categories if c.aspect == one.aspect]
        assert [c.n_prompts for c in mine] == [12, 12] and one.gain is not None
        assert np.mean([c.gain for c in mine]) == pytest.approx(one.gain, abs=1e-12)


# --- the viewer ---


def test_media_are_whole_small_and_made_once(two: tuple[Path, Path], tmp_path: Path) -> None:
    found, out = compare_scores(load_runs(two)), tmp_path / "report"
    with Pool(2) as pool:
        write_report(found, out, pool, PageOptions(figures=False))
        media = {p: p.stat().st_mtime_ns for p in (out / "media").iterdir()}
        write_report(found, out, pool, PageOptions(figures=False))
        assert {p: p.stat().st_mtime_ns for p in (out / "media").iterdir()} == media
        rows = handed_over(out / "data" / "rows.js")
        # The pages of a and b share the clips that are alike: disc-0 and disc-2.
        copies = sorted(p for p in media if p.suffix == ".mp4")
        assert len(copies) == 4
        for path in copies:
            facts = probe(path).facts
            assert (facts.frames, facts.fps, facts.width, facts.height) == (24, 8, 64, 48)
            assert facts.codec == "h264"
        cell = next(row[3][1] for row in rows["rows"] if rows["prompts"][row[0]][0] == "disc-1")
        frames, _ = read(out / "media" / f"{cell[2]}.mp4")
        [native] = [s for at, s in load_runs(two)[1].videos.items() if at == ("disc-1", 0)]
        assert native.video is not None
        original, _ = read(Path(native.video) if Path(native.video).is_absolute() else two[1] / native.video)
        assert np.abs(frames.astype(int) - original).mean() < 6  # the same frames, in the same order
        flags = {kind: (first, last, still) for kind, first, last, still, _ in cell[9]}
        assert flags["freeze"] == (0.75, 1.375, 6) and flags["cut"][0] == 1.375
        assert (out / "media" / f"{cell[2]}-6.jpg").is_file()
        # A second report that shows less deletes what it does not show, and nothing else.
        (out / "media" / "mine.txt").write_text("kept")
        write_report(found, out, pool, PageOptions(videos=1, figures=False))
        left = {p.name for p in (out / "media").iterdir()}
        assert "mine.txt" in left and len([n for n in left if n.endswith(".mp4")]) == 2


def test_curves_are_the_stored_features(two: tuple[Path, Path]) -> None:
    [run] = load_runs([two[1]])
    found = curves.of_samples(compare_scores([run]), [("disc-1", 0)])
    one = found["b", ("disc-1", 0)]
    assert run.folder is not None
    clip, _ = read(run.folder.video_path(run.videos["disc-1", 0]))
    change = np.abs(np.diff(clip.astype(np.int16), axis=0)).mean((1, 2, 3))
    assert np.allclose(one.curves["change"], change, rtol=1e-6) and one.fps == 8
    assert len(one.curves["sharpness"]) == 24 and "ssim" not in one.curves  # no metric of the run needed it


def test_the_telling_prompts_come_first(two: tuple[Path, Path]) -> None:
    rows = rows_of(compare_scores(load_runs(two)))
    assert [row.prompt.id for row in rows] == ["disc-1", "disc-0", "disc-2"]
    assert rows[0].disagreement > 1 and rows[1].disagreement == rows[2].disagreement == 0
    assert [row.prompt.id for row in first_prompts(rows, 2)] == ["disc-1", "disc-0"]
    assert len(first_prompts(rows, None)) == 3


def test_originals_are_linked_or_copied(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = compare_scores(load_runs(two))
    with Pool(2) as pool:
        above = tmp_path / "runs" / ".." / "runs"
        write_report(found, above, pool, PageOptions(figures=False))  # the clips are elsewhere
        cells = [cell for row in handed_over(above / "data" / "rows.js")["rows"] for cell in row[3]]
        assert {cell[3] for cell in cells} == {""}
        out = tmp_path / "portable"
        write_report(found, out, pool, PageOptions(figures=False, portable=True))
        cells = [cell for row in handed_over(out / "data" / "rows.js")["rows"] for cell in row[3]]
        for cell in cells:
            original = out / cell[3]
            assert cell[3].startswith("./originals/") and original.is_file()
        hashes = {hashlib.sha256((out / cell[3]).read_bytes()).hexdigest() for cell in cells}
        assert hashes == {s.sha256 for run in load_runs(two) for s in run.videos.values()}


def test_data_ends_no_script_and_says_no_folder(two: tuple[Path, Path], tmp_path: Path) -> None:
    text = script_of("</script><!--", "x")
    assert "<" not in text
    found = compare_scores(load_runs(two))
    with Pool(2) as pool:
        write_report(found, tmp_path / "r", pool)
    for path in (p for p in (tmp_path / "r").rglob("*") if p.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def script_of(*values: str) -> str:
    from evals.report.page.data import script as handed

    return handed("rows", list(values))


def test_the_pages_script_is_its_modules() -> None:
    """Every module is in the page once, after those it imports, and none imports another way."""
    folder = ROOT / "evals" / "report" / "page" / "js"
    assert {p.stem for p in folder.glob("*.js")} == set(script.ORDER)
    for place, name in enumerate(script.ORDER):
        text = (folder / f"{name}.js").read_text()
        imported = re.findall(r'from "\./(\w+)\.js"', text)
        assert set(imported) <= set(script.ORDER[:place]), name
    joined = script.viewer()
    assert not re.search(r"^\s*(import|export)\b", joined, re.MULTILINE)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp", joined
    )


def test_the_vendored_library_is_the_one_that_was_looked_at() -> None:
    folder = ROOT / "evals" / "report" / "page" / "vendor"
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", (folder / "README.md").read_text(), re.MULTILINE)
    told = {name: sha256 for sha256, name in lines}
    assert set(told) == {"uPlot.iife.min.js", "uPlot.min.css"}
    for name, sha256 in told.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    assert "MIT" in (folder / "uPlot.LICENSE").read_text()


def test_the_scripts_are_lint_free() -> None:
    lint = [str(Path(sys.executable).parent / "oxlint"), "--deny-warnings"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- the recipe ---


def test_a_recipe_says_what_differs(two: tuple[Path, Path], cli: Cli, tmp_path: Path) -> None:
    found = compare_scores(load_runs(two))
    card = recipe(found)
    a, b = card["runs"]["a"], card["runs"]["b"]
    assert {one.place for one in differences(a, b)} == {"generator › label", "generator › params › path"}
    assert a["prompts"]["count"] == 3 and a["prompts"]["seeds"] == "0 for every prompt"
    assert a["metrics"]["warping_error[dis]"]["extractors"]["frames:dis"]["version"] == 2
    assert a["scored"]["versions"]["av"] and str(tmp_path) not in json.dumps(card)
    done = cli("compare", *two, "--out", tmp_path / "r", "--explain", "--videos", 0)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "a and b differ in:" and "generator › params › path: a | b" in lines[2]
    assert lines.index("") < next(i for i, line in enumerate(lines) if "temporal_flicker" in line)
    assert json.loads((tmp_path / "r" / "recipe.json").read_text()) == card
    assert explained(compare_scores(load_runs(two[:1]))) == []


def test_recipes_that_are_alike_say_so() -> None:
    one = {"x": {"y": 1, "z": [1]}, "w": None}
    assert differences(one, json.loads(json.dumps(one))) == []
    [found] = differences(one, {"x": {"y": 1, "z": [2]}, "w": None})
    assert (found.place, found.a, found.b) == ("x › z", [1], [2])


def test_an_export_without_its_library_is_refused_first(
    two: tuple[Path, Path], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = cli("compare", *two, "--out", tmp_path / "r", "--export", "parquet")
    assert done.code == 2 and "pip install 't2v-evals[export]'" in done.err and not (tmp_path / "r").exists()


# --- places and hostile folders ---


def test_a_users_files_are_not_overwritten(two: tuple[Path, Path], cli: Cli, tmp_path: Path) -> None:
    for name in ("data/rows.js", "figures/forest.svg", "scores.csv", "media"):
        out = tmp_path / name.replace("/", "-")
        out.mkdir()
        mine = out / name
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
        done = cli("compare", *two, "--out", out, "--videos", 0)
        assert done.code == 2 and str(mine) in done.err, done.err
        assert mine.read_text() == "mine" and [p for p in out.rglob("*") if p.is_file()] == [mine]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "data").symlink_to(tmp_path / "elsewhere")
    assert cli("compare", *two, "--out", tmp_path / "linked").code == 2
    # Others of a user's files beside a report's stay, and what a killed command left goes.
    out = tmp_path / "r"
    (out / "media").mkdir(parents=True)
    (out / "media" / f".{'0' * 20}.123.mp4").write_text("half")
    (out / ".report-old").mkdir()
    (out / "media" / "a.mp4").write_text("mine")
    assert cli("compare", *two, "--out", out).code == 0
    assert (out / "media" / "a.mp4").read_text() == "mine"
    assert not [p for p in out.rglob(".*") if p.name.startswith((".0", ".report"))]


def test_one_report_is_written_at_a_time(two: tuple[Path, Path], tmp_path: Path) -> None:
    found, out = compare_scores(load_runs(two)), tmp_path / "r"
    with writing(out), pytest.raises(RunLocked, match="another command is writing this report"):
        write_report(found, out)
    write_report(found, out, options=PageOptions(figures=False))


def test_a_portable_report_copies_what_was_scored_and_nothing_else(
    two: tuple[Path, Path], cli: Cli, tmp_path: Path
) -> None:
    runs = load_runs(two)
    for run in runs:
        assert run.folder is not None
        run.folder.video_path(run.videos["disc-0", 0]).unlink()
        changed = run.folder.video_path(run.videos["disc-1", 0])
    encode(changed, ball(9, seed=5), 8, "ffv1")
    out = tmp_path / "r"
    assert cli("compare", *two, "--out", out, "--portable").code == 0
    data = handed_over(out / "data" / "rows.js")
    cells = {data["prompts"][row[0]][0]: row[3][1] for row in data["rows"]}
    assert "no such file" in cells["disc-0"][1] and "has changed since" in cells["disc-1"][1]
    assert cells["disc-1"][3] == "" and cells["disc-2"][3].startswith("./originals/")
    held = {p.name for p in (out / "originals").iterdir()}
    assert cli("compare", *two, "--out", out).code == 0  # and they go with it
    assert held and not list((out / "originals").iterdir())


def test_a_text_that_looks_like_our_own_mark_stays(two: tuple[Path, Path], tmp_path: Path) -> None:
    place = tmp_path / "runs" / "content-security-policy-of-this-page"
    shutil.copytree(two[0], place)
    write_report(compare_scores(load_runs([place])), tmp_path / "r")
    page = (tmp_path / "r" / "index.html").read_text()
    assert page.count("default-src") == 1 and f"<title>{place.name}" in page


def test_evidence_is_of_the_frames_that_were_scored(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """24 frames a second with a cut between 26 and 27, scored at 8: of the frames kept, 24 and 27 differ."""
    made = clips("a").write(1)
    frames = np.stack([np.full((48, 64, 3), 40 + t if t < 27 else 200, np.uint8) for t in range(48)])
    encode(made.folder / "0-0.mkv", list(frames), 24, "ffv1")
    base = run_of(made.folder, tmp_path, "--metrics", METRICS, "--normalize", "fps=8")
    assert cli(*base).code == 0
    assert cli("compare", tmp_path / "a", "--out", tmp_path / "r").code == 0
    [[_, _, _, [cell]]] = handed_over(tmp_path / "r" / "data" / "rows.js")["rows"]
    [cut] = [flag for flag in cell[9] if flag[0] == "cut"]
    assert cut[1:] == [1.0, 1.125, 8, ""]
    still = cv2.imread(str(tmp_path / "r" / "media" / f"{cell[2]}-8.jpg"))
    assert still is not None and still.shape == (48, 128, 3)
    assert still[:, :60].mean() == pytest.approx(64, abs=3) and still[:, 68:].mean() > 190


def test_a_copy_of_a_variable_rate_keeps_the_times(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """10 frames of a tenth of a second, then 30 of a thirtieth: the change at 1 s is at 1 s of the copy."""
    made = clips("a").write(1)
    still = np.full((48, 64, 3), 60, np.uint8)
    rows = []
    for t in range(40):
        cv2.imwrite(str(tmp_path / f"{t}.png"), still + (100 if t >= 10 else t))
        rows.append(f"file '{tmp_path / f'{t}.png'}'\nduration {0.1 if t < 10 else 1 / 30:.6f}")
    (tmp_path / "list.txt").write_text("\n".join(rows))
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg makes a file of variable rate, and is not installed")
    command = [
        "ffmpeg", "-loglevel", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(tmp_path / "list.txt"),
        "-vsync", "vfr", "-c:v", "ffv1", str(made.folder / "0-0.mkv"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    assert cli(*run_of(made.folder, tmp_path, "--metrics", METRICS)).code == 0
    assert cli("compare", tmp_path / "a", "--out", tmp_path / "r").code == 0
    [[_, _, _, [cell]]] = handed_over(tmp_path / "r" / "data" / "rows.js")["rows"]
    [path] = (tmp_path / "r" / "media").glob("*.mp4")
    copy, facts = read(path)
    assert (cell[4], cell[5], cell[8]) == (30, facts.frames, 1) and facts.fps == 30
    means = copy.astype(float).mean((1, 2, 3))
    assert abs(int(np.argmax(means > 120)) / 30 - 1.0) <= 1 / 30 + 1e-6
    assert next(flag for flag in cell[9] if flag[0] == "cut")[2] == pytest.approx(1.0, abs=0.002)
