"""What an attack on the gate found: each a way to pass that is closed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evals
from evals.errors import UsageError
from evals.gate import baseline as files
from evals.gate.accept import accept
from evals.gate.check import Options
from evals.gate.deciding import judge
from evals.gate.history import leaderboard
from evals.gate.opening import Choice, make
from evals.gate.records import Calibration, Repeats
from evals.generators.servers import Servers
from evals.records import MetricInfo, Spec
from evals.remote.client import Client
from evals.report.gate_files import as_junit
from evals.runs.folder import RunFolder
from tests.gating import FALLING, again, baseline_of, model, moved, scores, verdict
from tests.noisy_model import generate
from tests.test_gate import folder, rng
from tests.test_gate_runs import MARGIN, PROMPTS, call, made, place

__all__ = ["folder", "place", "rng"]  # fixtures


@pytest.mark.nightly
def test_a_changed_model_is_generated_afresh(place: Path, tmp_path: Path) -> None:
    """The second function of the same name in the same folder is not given the first one's videos."""

    def sane(prompt: str, seed: int) -> Any:
        return generate(prompt, seed, leak=1.5, repeat=2)

    first = evals.gate_check(place / "base.json", sane, out=tmp_path / "run", require="quality")

    def sane(prompt: str, seed: int) -> Any:  # type: ignore[no-redef]
        return np.zeros((8, 48, 64, 3), np.uint8)

    second = evals.gate_check(place / "base.json", sane, out=tmp_path / "run", require="quality")
    assert (first.result.verdict, second.result.verdict) == ("pass", "regression")
    assert (tmp_path / "run-before-1" / "run.json").exists()


def test_fidelity_needs_all_clips_of_the_baseline(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "base.json", tmp_path / "base.json")
    shutil.copytree(place / "base.clips", tmp_path / "base.clips")
    for path in sorted((tmp_path / "base.clips").iterdir())[1:]:
        path.unlink()
    found = call("gate", "check", tmp_path / "base.json", place / "two", "-q", "--json")
    assert found.code == 3 and json.loads(found.out)["fidelity"] == "inconclusive"


def test_fidelity_metrics_that_decide_are_measured_whatever_is_asked(place: Path) -> None:
    base = ("gate", "check", place / "base.json", place / "other", "-q", "--json")
    result = json.loads(call(*base, "--fidelity", "fidelity_mae").out)
    assert result["fidelity"] == "regression"
    assert {row["metric"] for row in result["pairs"]} >= {"fidelity_psnr", "fidelity_mae"}


def test_a_calibration_of_another_version_does_not_decide(place: Path, tmp_path: Path) -> None:
    known = files.read(place / "base.json")
    newer = [
        one.model_copy(update={"info": one.info.model_copy(update={"normalization": "short_side=16"})})
        for one in known.calibrations[0].separations
    ]
    changed = known.calibrations[0].model_copy(update={"separations": tuple(newer)})
    files.write(known.model_copy(update={"calibrations": (changed,)}), tmp_path / "base.json")
    shutil.copytree(place / "base.clips", tmp_path / "base.clips")
    found = json.loads(call("gate", "check", tmp_path / "base.json", place / "two", "-q", "--json").out)
    assert found["verdict"] == "inconclusive" and "another version" in found["pairs"][0]["message"]


def test_calibrating_takes_the_baselines_metrics_words_and_kinds(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "prompts.yaml", tmp_path / "prompts.yaml")
    other = tmp_path / "cuts"
    found = call("run", "--generator", f"folder:{place / 'one' / 'videos'}", "--prompts",
                 place / "prompts.yaml", "--seeds", 2, "--out", tmp_path, "--name", "cuts",
                 "--metrics", "scene_cuts", "-q")  # fmt: skip
    assert found.code == 0, found.err
    base = ("gate", "calibrate", place / "one", other, "-q", "--baseline", place / "base.json")
    assert "was not scored with temporal_flicker" in call(*base).err
    text = json.loads((tmp_path / "prompts.yaml").read_text())
    text["prompts"][0]["text"] = "other words"
    (tmp_path / "prompts.yaml").write_text(json.dumps(text))
    reworded = made(tmp_path, "reworded", leak=1.5)
    assert "other words" in call("gate", "calibrate", place / "one", reworded, "-q").err
    clash = call("gate", "calibrate", place / "one", place / "two", "--bad", f"codec={place / 'other'}", "-q")
    assert clash.code == 2 and "another name" in clash.err


def test_history_takes_every_run_but_the_baselines_own(place: Path, tmp_path: Path) -> None:
    """A later run that happens to have the name of the baseline's run is checked."""
    shutil.copytree(place / "blurred", tmp_path / "one")
    found = call("gate", "history", tmp_path / "one", "--baseline", place / "base.json")
    assert found.code == 1 and "1 of 1 runs is worse than base (baseline)" in found.out
    again_ = call("gate", "history", place / "one", "--baseline", place / "base.json")
    assert again_.code == 0 and "one run only" in again_.out
    margin = call("gate", "history", place / "one", place / "two", "--margin", "sharpness=60")
    assert margin.code == 0, margin.err


def test_empty_repeats_test_no_tail(folder: RunFolder, rng: np.random.Generator) -> None:
    """A calibration without the primary metrics: seeds are taken; with one seed nothing passes."""
    nothing = Repeats(metrics=(), differences=((), ()), seeds=1)
    for seeds, outcome in ((2, "many"), (1, "not tested")):
        values = model(rng, seeds=seeds, noise=0.2)
        base = baseline_of(scores(folder, values), margin=3.0)
        empty = Calibration(
            platform=base.platform, runs=("a", "b"), made="", identical=True, separations=(), repeats=nothing
        )
        broken = again(values, rng, 0.02)
        broken["good"][:8] -= 6.0
        found = verdict(base.model_copy(update={"calibrations": (empty,)}), scores(folder, broken))
        assert found.tail.outcome == outcome and found.verdict != "pass"


def test_rates_alone_are_no_gate(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    dim = [MetricInfo(id=n, spec=Spec(name=n), extractors={}, direction="higher", role="diagnostic")
           for n in ("good", "bad")]  # fmt: skip
    with pytest.raises(UsageError, match="no metric of quality decides"):
        make(scores(folder, values, infos=dim), "base", Choice())
    lost = {name: np.full_like(value, np.nan) for name, value in values.items()}
    with pytest.raises(UsageError, match="no metric of quality decides"):
        make(scores(folder, lost), "base", Choice())
    kvd = MetricInfo(
        id="kvd[x]", kind="distribution", spec=Spec(name="kvd"), extractors={}, direction="lower"
    )
    with pytest.raises(UsageError, match="needs a margin of its own"):
        files.deciding({"kvd[x]": kvd}, ["kvd[x]"], {})
    with pytest.raises(UsageError, match="exclude each other"):
        make(scores(folder, values), "base", Choice(tier="fast", margins=("2sd",)))


def test_late_checks_can_still_decide(folder: RunFolder, rng: np.random.Generator) -> None:
    """At levels below the smallest p of the flips, Student's t takes over."""
    values = model(rng, noise=0.1)
    base = baseline_of(scores(folder, values))
    for checkpoint in (7, 30, 500):
        options = Options(checkpoint=checkpoint)
        same = verdict(base, scores(folder, again(values, rng, 0.05)), options)
        worse = verdict(base, scores(folder, moved(again(values, rng, 0.05), good=-1.0)), options)
        assert (same.verdict, worse.verdict) == ("pass", "regression"), checkpoint


def test_lost_scores_count_where_all_others_are_equal(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng, noise=0.05)
    base = baseline_of(scores(folder, values), margin=0.1)
    lost = {name: value.copy() for name, value in values.items()}
    lost["good"][np.argsort(values["good"].mean(1))[-5:]] = np.nan
    found = verdict(base, scores(folder, lost))
    row = next(row for row in found.rows if row.metric == "good")
    assert row.outcome == "inconclusive" and found.verdict != "pass"
    assert judge([None], [1.0], [0.2])[0].outcome == "inconclusive"


def test_accepting_takes_whole_candidates_only(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    one = scores(folder, {name: value[:1] for name, value in values.items()})
    with pytest.raises(UsageError, match="has videos of 2 of the baseline's 200"):
        accept(baseline_of(scores(folder, values)), one, "because")


def test_the_first_run_with_an_aspect_holds_it(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    first = scores(folder, {"bad": values["bad"]}, "first", [FALLING])
    second, third = (scores(folder, moved(values, good=by), name) for name, by in (("b", 0), ("c", 3)))
    board = [(one.run, one.over) for one in leaderboard([first, second, third]) if one.aspect == "motion"]
    assert board == [("b", ""), ("c", "b")]


def test_junit_fails_for_what_decides_alone(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    found = verdict(baseline_of(scores(folder, values)), scores(folder, moved(values, good=-3.0)))
    assert 'failures="3"' in as_junit(found)  # the verdict, the metric and the prompts that broke
    passed = found.model_copy(update={"verdict": "pass", "required": ("fidelity",)})
    assert 'failures="0"' in as_junit(passed)


def test_a_server_that_failed_is_set_aside() -> None:
    servers = Servers([Client(f"http://127.0.0.1:{port}/v1", "") for port in (1, 2)])
    dead = servers.least_busy()
    servers.failed(dead)
    alive = servers.least_busy()
    assert alive is not dead and servers.least_busy() is alive
    job = servers.job("x", alive)
    servers.follows(job)
    servers.follows(job)
    servers.ended(job)
    servers.failed(alive)
    servers.failed(alive)
    assert servers.least_busy() is dead  # all have failed: the least busy one


@pytest.mark.nightly
def test_a_distance_is_not_taken_with_itself(tmp_path: Path) -> None:
    """A candidate of the baseline's name, with other features: the difference is not 0."""
    write_prompts(tmp_path)
    options: dict[str, Any] = {"metrics": "sharpness,kvd[efficientnet-lite0]"}
    looks: dict[str, dict[str, float]] = {
        "a": {"leak": 1}, "b": {"leak": 30, "blur": 2}, "r": {"leak": 1, "other": 3}
    }  # fmt: skip
    a, b, r = (made(tmp_path / name, "x", **look, **options) for name, look in looks.items())
    base = ("gate", "check", a, b, "--reference", r, *MARGIN, "--margin", "kvd[efficientnet-lite0]=0.0001")
    found = json.loads(call(*base, "-q", "--json", "--require", "quality").out)
    row = next(row for row in found["rows"] if row["metric"].startswith("kvd"))
    assert row["difference"] not in (None, 0.0) and row["outcome"] != "identical"


def write_prompts(folder: Path) -> None:
    for name in ("a", "b", "r"):
        (folder / name).mkdir()
        (folder / name / "prompts.yaml").write_text(json.dumps({"name": "discs", "prompts": PROMPTS}))
