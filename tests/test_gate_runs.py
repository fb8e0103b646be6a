"""The gate on real videos and through the command line: calibrate, check, what it writes, what blocks it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from evals.gate import baseline as files
from evals.gate.records import PASSING, Calibration
from tests.conftest import ROOT, Cli, Result
from tests.helpers import edit_run

METRICS = "temporal_flicker,sharpness,blur"
MARGIN = ("--margin", "2.2sd")
MODEL = f"python:{ROOT / 'tests' / 'noisy_model.py'}:generate"
PROMPTS = [{"id": f"disc-{i}", "text": f"a disc, number {i * i}"} for i in range(12)]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the made-up model: three repeats, and changes of it; a calibrated baseline of the first."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "prompts.yaml").write_text(json.dumps({"name": "discs", "prompts": PROMPTS}))
    for repeat, name in enumerate(("one", "two", "three")):
        made(folder, name, leak=1.5, repeat=repeat)
    made(folder, "blurred", leak=1.5, blur=1.5, repeat=4)
    made(folder, "other", leak=1.5, other=1, repeat=5)
    assert (
        call("gate", "baseline", folder / "one", "--out", folder / "base.json", "--clips", *MARGIN).code == 0
    )
    runs = [folder / name for name in ("one", "two", "three")]
    found = call("gate", "calibrate", *runs, "--baseline", folder / "base.json", "-q")
    assert found.code == 0, found.err
    (folder / "calibrated.txt").write_text(found.out)
    return folder


def call(*arguments: object) -> Result:
    """The command line in this process."""
    import contextlib
    import io

    from evals.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return Result(int(stop.value.code or 0), out.getvalue(), err.getvalue())


def made(folder: Path, name: str, **options: object) -> Path:
    """A run of the model with these options, scored."""
    metrics = options.pop("metrics", METRICS)
    given = [x for key, value in options.items() for x in ("-o", f"{key}={value}")]
    base = ("run", "--generator", MODEL, "--prompts", folder / "prompts.yaml", "--seeds", 2, *given)
    found = call(*base, "--out", folder, "--name", name, "--metrics", metrics, "-q")
    assert found.code == 0, found.err
    return folder / name


Check = Callable[..., Result]


@pytest.fixture
def check(place: Path) -> Check:
    """`gate check` against the baseline, as JSON."""
    return lambda name, *more: call("gate", "check", place / "base.json", place / name, "-q", "--json", *more)


def test_what_calibrating_says(place: Path) -> None:
    text = (place / "calibrated.txt").read_text()
    assert "3 runs of one model: one, two, three" in text
    assert "0 of 12 (at most 26.5%)" in text  # exact: 1 − 0.025^(1/12)
    calibration = files.read(place / "base.json").calibrations[0]
    psnr = next(one for one in calibration.separations if one.metric == "fidelity_psnr")
    assert psnr.usable and psnr.threshold is not None
    assert {kind.kind for kind in psnr.kinds} == {
        "codec", "blur", "colour shift", "one-frame shift", "frozen tail", "swapped prompt"
    }  # fmt: skip
    mildest = max(kind.mildest or 0 for kind in psnr.kinds if kind.separated)
    assert mildest < psnr.threshold < psnr.worst_repeat
    assert len(calibration.repeats.differences) == 2 * len(PROMPTS)
    assert not psnr.bistability.bistable


def test_a_repeat_passes(check: Check) -> None:
    found = check("two")
    result = json.loads(found.out)
    assert (found.code, result["verdict"], result["required"]) == (0, "pass", ["quality", "fidelity"])
    assert {row["outcome"] for row in result["pairs"] if row["threshold"] is not None} == {"same"}


def test_identical_videos_pass(check: Check) -> None:
    result = json.loads(check("one").out)
    assert result["verdict"] == "pass"
    assert all(row["identical"] == row["n_pairs"] == 24 for row in result["pairs"])


def test_clearly_worse(check: Check, place: Path, tmp_path: Path) -> None:
    """Both parts say so, and every file that is written holds it."""
    import junitparser

    found = check("blurred", "--out", tmp_path / "out")
    result = json.loads(found.out)
    assert found.code == 1 and result["quality"] == result["fidelity"] == "regression"
    assert {row["metric"] for row in result["rows"] if row["outcome"] == "worse"} >= {"sharpness", "blur"}
    suites = junitparser.JUnitXml.fromfile(str(tmp_path / "out" / "junit.xml"))
    suite = next(iter(suites))
    cases = {case.name: case for case in suite}
    assert suite.failures >= 3 and suite.tests == len(cases)
    assert isinstance(cases["sharpness"].result[0], junitparser.Failure)
    assert not cases["failure_rate"].result
    properties = {one.name: one.value for one in cases["sharpness"].child(junitparser.Properties)}  # type: ignore[no-untyped-call]
    assert float(properties["margin"]) > 0 and float(properties["difference"]) < 0
    text = (tmp_path / "out" / "gate.md").read_text()
    lines = text.splitlines()
    assert lines[0] == "### t2v-evals gate: regression"
    table = [line for line in lines if line.startswith("| `")]
    assert "**worse**" in table[0]
    assert text.count("seed ") >= 3 and "worst.png" in text
    with Image.open(tmp_path / "out" / "worst.png") as sheet:
        assert sheet.width > 600 and sheet.height > 3 * 150
    assert json.loads((tmp_path / "out" / "gate.json").read_text())["verdict"] == "regression"


def test_different_but_no_worse(check: Check) -> None:
    """Other videos of the same quality: fidelity fails, quality passes, and the way out is named."""
    found = check("other")
    result = json.loads(found.out)
    assert result["fidelity"] == "regression"
    assert result["quality"] in ("pass", "inconclusive")
    alone = check("other", "--require", "quality")
    assert json.loads(alone.out)["verdict"] == result["quality"]


def test_the_table_for_people(place: Path) -> None:
    text = call("gate", "check", place / "base.json", place / "blurred", "-q").out
    assert text.startswith("REGRESSION: blurred against base\n")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "Worse on sharpness" in text and "Videos differ by fidelity_psnr" in text


def test_planning(place: Path) -> None:
    found = json.loads(call("gate", "plan", place / "base.json", "--json").out)
    psnr = next(row for row in found["fidelity"] if row["metric"] == "fidelity_psnr")
    assert psnr["prompts"] == 1 and 1 <= psnr["frames"] <= psnr["longest"] == 8
    by = {(p["metric"], p["prompts"]): p for p in found["powers"] if p["seeds"] == 2}
    assert {n for _, n in by} == {12, 25, 50, 100, 200}
    text = call("gate", "plan", place / "base.json").out
    assert "Shortest clips" in text and "hours of generating" in text


# --- what blocks a gate ---


def test_another_platform(place: Path, check: Check) -> None:
    found = check("two", "--platform", "gpu=B200")
    result = json.loads(found.out)
    assert found.code == 3 and result["verdict"] == "not comparable"
    assert result["platform"] == {"gpu": ["–", "B200"]}
    assert "another platform" in result["blocked"][0]
    under_test = check("two", "--platform", "gpu=B200", "--under-test", "gpu")
    assert json.loads(under_test.out)["verdict"] == "pass"
    quality = check("two", "--platform", "gpu=B200", "--require", "quality")
    assert json.loads(quality.out)["verdict"] == "pass"
    assert "did you mean 'gpu'" in check("two", "--under-test", "gpuu").err


def test_the_other_platforms_own_calibration(place: Path, tmp_path: Path) -> None:
    """Its repeats are measured against the baseline's clips."""
    for name in ("base.json", "base.clips"):
        source = place / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    runs, gpu = (place / "two", place / "three"), ("--platform", "gpu=B200")
    found = call("gate", "calibrate", *runs, "--baseline", tmp_path / "base.json", "-q", *gpu)
    assert found.code == 0, found.err
    known = files.read(tmp_path / "base.json")
    assert [one.platform.get("gpu") for one in known.calibrations] == [None, "B200"]
    result = json.loads(
        call("gate", "check", tmp_path / "base.json", place / "two", "-q", "--json", *gpu).out
    )
    assert result["verdict"] == "pass"


def test_clips_that_are_gone(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "base.json", tmp_path / "base.json")
    found = call("gate", "check", tmp_path / "base.json", place / "two", "-q", "--json")
    result = json.loads(found.out)
    assert found.code == 3 and "clips are not there" in result["blocked"][0]


def test_clips_that_were_exchanged(place: Path, tmp_path: Path) -> None:
    """A file that is not the one of its name costs its pairs, and the gate does not pass."""
    shutil.copyfile(place / "base.json", tmp_path / "base.json")
    shutil.copytree(place / "base.clips", tmp_path / "base.clips")
    paths = sorted((tmp_path / "base.clips").iterdir())
    for path in paths[1:]:
        shutil.copyfile(paths[0], path)
    shutil.copytree(place / "two", tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "features")
    (tmp_path / "two" / "features").mkdir()
    found = call("gate", "check", tmp_path / "base.json", tmp_path / "two", "-q", "--json")
    assert found.code != 0 and json.loads(found.out)["fidelity"] != "pass"


@pytest.mark.slow
def test_a_metric_that_raises_or_gives_nan(place: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import os\n"
        "from evals import METRICS, About, Need, Spec, Value, VideoMetric\n"
        "@METRICS.register('moody')\n"
        "class Moody(VideoMetric):\n"
        "    '''One, unless told otherwise.'''\n"
        "    spec = Spec(name='moody')\n"
        "    about = About(direction='higher')\n"
        "    needs = (Need('frames', 'difference'),)\n"
        "    def score(self, clip):\n"
        "        mood = os.environ.get('MOOD')\n"
        "        if mood == 'raises':\n"
        "            raise ValueError('not today')\n"
        "        return Value(float('nan') if mood else float(clip[self.needs[0]]['mean'][0]))\n"
    )
    import os
    import subprocess
    import sys

    def run(*arguments: object, mood: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run_eval.py"), *map(str, arguments), "--plugin", str(plugin)]
        environment = {**os.environ, "MOOD": mood}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    for name in ("one", "two", "three"):
        shutil.copytree(place / name, tmp_path / name)
    assert run("score", tmp_path / "one", "--metrics", "moody").returncode == 0
    base = run("gate", "baseline", tmp_path / "one", "--out", tmp_path / "b.json", *MARGIN)
    assert base.returncode == 0, base.stderr
    for name, mood in (("two", "raises"), ("three", "nan")):
        found = run("gate", "check", tmp_path / "b.json", tmp_path / name, "-q", "--json", mood=mood)
        assert found.returncode == 3, found.stderr
        rows = {row["metric"]: row for row in json.loads(found.stdout)["rows"]}
        assert rows["moody"]["outcome"] in ("inconclusive", "not scored")
        assert rows["sharpness"]["outcome"] in PASSING


# --- repeats that differ too much ---


@pytest.mark.slow
def test_repeats_of_other_noise_leave_it_to_quality(place: Path, tmp_path: Path) -> None:
    """Different noise streams: repeats are as far apart as bad videos are, so fidelity is not used."""
    runs = [made_in(place, tmp_path, f"r{i}", other=10 + i) for i in range(3)]
    for run in runs:  # three runs of one model that draws new noise each time
        edit_run(run, lambda data: data["generator"]["params"]["arguments"].clear())
    base = tmp_path / "base.json"
    assert call("gate", "baseline", runs[0], "--out", base, "--clips", *MARGIN).code == 0
    found = call("gate", "calibrate", *runs, "--baseline", base, "-q")
    assert "fidelity is unusable here" in found.out
    result = json.loads(call("gate", "check", base, runs[1], "-q", "--json").out)
    assert result["required"] == ["quality"] and result["fidelity"] is None
    assert any("quality decides" in note for note in result["notes"])
    needed = json.loads(call("gate", "check", base, runs[1], "-q", "--json", "--require", "fidelity").out)
    assert needed["verdict"] == "inconclusive"


def made_in(place: Path, folder: Path, name: str, **options: object) -> Path:
    if not (folder / "prompts.yaml").exists():
        shutil.copyfile(place / "prompts.yaml", folder / "prompts.yaml")
    return made(folder, name, **options)


@pytest.mark.slow
def test_bistable_output_is_named(place: Path, tmp_path: Path) -> None:
    """Clips that are one of two by chance: pairs of repeats are equal, or apart by as much as ever."""
    runs = [made_in(place, tmp_path, f"b{i}", bistable=True, repeat=i) for i in range(3)]
    out = tmp_path / "calibration.json"
    found = call("gate", "calibrate", *runs, "--out", out, "-q")
    assert "repeats are bistable" in found.out, found.out
    psnr = Calibration.model_validate_json(out.read_text()).separations[0]
    assert psnr.bistability.high == pytest.approx(100, abs=0.1)
    assert psnr.bistability.low is not None and psnr.bistability.low < 60


def test_repeats_of_two_platforms_are_refused(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "two", tmp_path / "two")
    edit_run(tmp_path / "two", lambda data: data["generated"]["versions"].update(torch="1.0"))
    found = call("gate", "calibrate", place / "one", tmp_path / "two", "-q")
    assert found.code == 2 and "another platform (torch" in found.err


# --- accept, history ---


def test_accepting_a_change(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "base.json", tmp_path / "base.json")
    shutil.copytree(place / "base.clips", tmp_path / "base.clips")
    base = tmp_path / "base.json"
    found = call("gate", "accept", base, place / "other", "--because", "a new sampler", "-q")
    assert found.code == 0 and "accepted: a new sampler" in found.out
    result = json.loads(call("gate", "check", base, place / "other", "-q", "--json").out)
    assert result["verdict"] == "pass" and result["shifts"][0]["because"] == "a new sampler"
    assert call("gate", "check", base, place / "two", "-q").code == 1
    assert "Accepted on" in call("gate", "check", base, place / "other", "-q").out


def test_history(place: Path, tmp_path: Path) -> None:
    runs = [place / name for name in ("one", "two", "three", "blurred")]
    found = call("gate", "history", *runs, "--order", "given", "--out", tmp_path / "out", *MARGIN)
    assert found.code == 1
    assert "1 of 3 runs is worse than one, first blurred" in found.out
    assert "sharpness changes with blurred" in found.out
    data = json.loads((tmp_path / "out" / "history.json").read_text())
    assert [p["verdict"] for p in data["points"]] == [None, "pass", "pass", "regression"]
    table = (tmp_path / "out" / "history.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 4
    page = (tmp_path / "out" / "history.html").read_text()
    assert page.count("<img src=") == 3 and "<script" not in page
    assert (tmp_path / "out" / "sharpness.pdf").read_bytes().startswith(b"%PDF")


def test_leaderboard(place: Path) -> None:
    runs = [place / name for name in ("blurred", "one", "two")]
    found = json.loads(call("gate", "history", *runs, "--order", "given", "--leaderboard", "--json").out)
    appearance = [one for one in found if one["aspect"] == "appearance"]
    assert [(one["run"], one["over"]) for one in appearance] == [("blurred", ""), ("one", "blurred")]
    assert appearance[1]["alike"] == ["two"]


def test_names_that_are_misspelt(place: Path, cli: Cli) -> None:
    assert "did you mean 'check'" in cli("gate", "chek", "a", "b").err
    assert cli("gate", "check", place / "none.json", place / "one").code == 2
    assert "is no run" in cli("gate", "history", place / "base.clips").err
