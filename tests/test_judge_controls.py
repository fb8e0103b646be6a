"""Controls tell a judge that looks from one that does not, and only the first gets verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from evals.calibration.clips import certain, clips_of, others, simulated_clips
from evals.calibration.measure import BOUNDS, mixed, rate, still
from evals.compare import compare_scores, load_runs
from evals.compare.judges import FAILED
from evals.decoding.resources import Resources
from evals.errors import Reason, UsageError
from evals.judges import Sight
from evals.judges.forms import CONTROLS, PAIRWISE, REQUIRED
from evals.records import Calibration
from evals.report import markdown, terminal
from evals.runs.folder import RunFolder
from tests.conftest import Cli
from tests.helpers import edit_run
from tests.judgeserver import COLOURS, DATE, Judges, World, write_discs
from tests.videoserver import serve


def only(calibrations: Mapping[str, Calibration]) -> Calibration:
    """The one that is there."""
    (found,) = calibrations.values()
    return found


WRONG = {"red": "blue", "green": "blue", "white": "red", "yellow": "red", "cyan": "orange", "purple": "red"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that show their prompts, and clips of which six of eight show another colour."""
    place = tmp_path_factory.mktemp("discs")
    write_discs(place / "good")
    write_discs(place / "bad", WRONG)
    return place


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(World(tmp_path_factory.mktemp("server")), Judges) as at:
        yield at


def made(cli: Cli, folder: Path, out: Path, judge: str, *options: str, every: bool = True) -> list[Path]:
    """Both runs, judged with the good one as controls: by all metrics, or by `judge_alignment` alone."""
    prompts = folder / "good.yaml"
    for name in ("good", "bad"):
        done = cli("generate", "--generator", f"folder:{folder / name}", "--prompts", prompts,
                   "--out", out, "--name", name)  # fmt: skip
        assert done.code == 0, done.err
    given = [x for one in (f"controls={out / 'good'}", *options) for x in ("--judge-option", one)]
    for name in ("good", "bad"):
        asked = f"vqa_score[{judge}],sharpness" if every else f"judge_alignment[{judge}]"
        done = cli("score", out / name, *(("--judge", judge) if every else ()), *given,
                   "--metrics", asked)  # fmt: skip
        assert done.code == 0, done.err
    return [out / "good", out / "bad"]


@pytest.mark.parametrize("model", ["looker", "yes", pytest.param("coin", marks=pytest.mark.nightly)])
def test_only_a_judge_that_looks_passes_and_decides(
    cli: Cli, folder: Path, base: str, tmp_path: Path, model: str
) -> None:
    judge = f"openai-chat:{model}-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge)
    found = only(RunFolder(runs[0]).info.calibrations)
    assert found.pinned and found.served == (f"{model}-{DATE}",) and found.prompts == 8
    comparison = compare_scores(load_runs(runs))
    judged = [pair for pair in comparison.pairs if "judge" in pair.metric or "vqa" in pair.metric]
    assert len(judged) == 5
    if model == "looker":
        assert found.fails == ()
        assert {name: r.value for name, r in found.rates.items() if name != "yes_share"} == dict.fromkeys(
            (name for name in found.rates if name != "yes_share"), 1.0
        )
        assert found.rates["yes_share"].value == 0.5
        alignment = next(p for p in judged if p.metric.startswith("judge_alignment"))
        assert alignment.verdict not in (None, "not comparable") and alignment.difference is not None
        assert alignment.difference > 0
        assert comparison.judges[0].reason is None
        assert "It passed its controls." in terminal.render(comparison)
        return
    if model == "yes":
        assert found.rates["yes_share"].value == 1 and found.rates["consistency"].value == 0
        assert found.rates["pictures"].value == 0 and found.rates["motion"].value == 0.5
        assert set(found.fails) == {
            "yes_share", "consistency", "pictures", "shows", "semantic", "motion", "physics",
        }  # fmt: skip
    assert "pictures" in found.fails
    verdicts = {(p.verdict, p.reason) for p in judged}
    assert verdicts == {("not comparable", Reason.JUDGE_FAILED)}
    said = terminal.render(comparison)
    assert "No verdicts on" in said and "answers alike for another prompt's" in " ".join(said.split())
    assert "No verdicts on" in markdown.render(comparison)


@pytest.mark.slow
def test_the_page_prints_controls_beside_every_judge_number(
    cli: Cli, folder: Path, base: str, tmp_path: Path
) -> None:
    judge = f"openai-chat:yes-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge)
    assert cli("compare", *runs, "--out", tmp_path / "report").code == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("judge: yes 100 %, tells clips apart 0 %, no verdict") >= 5 * 2  # means and differences
    assert 'id="judges"' in page and "agrees with its answer to the negation" in page
    assert "judge_alignment by part" in page and "subject" in page
    data = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert {one["judge"] for one in data["judges"]} == {judge}
    assert {(p["part"], p["run"]) for p in data["parts"]} >= {("subject", "good"), ("attribute", "bad")}


@pytest.mark.slow
def test_an_alias_has_numbers_and_no_verdicts_until_it_is_pinned(
    cli: Cli, folder: Path, base: str, tmp_path: Path
) -> None:
    judge = f"openai-chat:looker@{base}"
    runs = made(cli, folder, tmp_path, judge, every=False)
    pairs = [p for p in compare_scores(load_runs(runs)).pairs if "judge" in p.metric]
    assert {p.reason for p in pairs} == {Reason.JUDGE_UNPINNED}
    assert all("revision=" in p.message for p in pairs)
    pinned = made(cli, folder, tmp_path, judge, "revision=abc", every=False)
    pairs = [p for p in compare_scores(load_runs(pinned)).pairs if p.metric.startswith("judge_alignment")]
    assert pairs[0].verdict != "not comparable"
    # Another revision is another judge.
    good = ("--judge-option", f"controls={tmp_path / 'good'}", "--judge-option", "revision=def")
    assert cli("score", runs[0], *good, "--metrics", f"judge_alignment[{judge}]").code == 0
    pairs = [p for p in compare_scores(load_runs(pinned)).pairs if p.metric.startswith("judge_alignment")]
    assert (pairs[0].verdict, pairs[0].reason) == ("not comparable", Reason.OTHER_EXTRACTOR)
    assert "revision" in pairs[0].message


def test_without_its_controls_a_judge_has_no_verdicts(
    cli: Cli, folder: Path, base: str, tmp_path: Path
) -> None:
    judge = f"openai-chat:looker-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge, every=False)
    edit_run(runs[1], lambda data: data["calibrations"].clear())
    comparison = compare_scores(load_runs(runs))
    pairs = [p for p in comparison.pairs if "judge" in p.metric]
    assert {p.reason for p in pairs} == {Reason.JUDGE_UNCALIBRATED}
    assert {p.message.partition(":")[0] for p in pairs} == {"bad"}


@pytest.mark.slow
def test_simulated_clips_are_the_controls_where_none_are_given(tmp_path: Path) -> None:
    with Resources() as resources:
        clips = simulated_clips(tmp_path / "controls", resources)
        again = simulated_clips(tmp_path / "controls", resources)
    assert [clip.sha256 for clip in clips] == [clip.sha256 for clip in again]
    assert len(clips) >= 8 and all(other is not None for other in others(clips))
    for clip, other in zip(clips, others(clips), strict=True):
        assert other is not None and not clip.kinds & other.kinds
        assert certain(clip.prompt) and clip.prompt.motion in ("medium", "high")


def test_controls_need_two_prompts_with_other_subjects(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert cli("generate", "--generator", f"folder:{folder / 'good'}", "--prompts", folder / "good.yaml",
               "--out", tmp_path, "--name", "one", "--prompt-id", "red").code == 0  # fmt: skip
    with pytest.raises(UsageError, match="two prompts or more"):
        clips_of(RunFolder(tmp_path / "one"))


def test_frozen_and_shuffled_clips_show_the_same_times() -> None:
    clip = Sight(tuple(bytes([i]) for i in range(8)), tuple(float(i) for i in range(8)))
    assert still(clip).pictures == (b"\0",) * 8 and still(clip).times == clip.times
    shuffled = mixed(clip, "a")
    assert sorted(shuffled.pictures) == sorted(clip.pictures) and shuffled.times == clip.times
    assert shuffled.pictures == mixed(clip, "a").pictures != mixed(clip, "b").pictures
    places = [picture[0] for picture in shuffled.pictures]
    assert (np.abs(np.diff(places)) != 1).all()  # no frame has a neighbour of before beside it


def test_rates_have_t_intervals_over_prompts() -> None:
    from scipy import stats

    values = [0.2, 0.4, 0.9, 1.0, 0.6, 0.7]
    found = rate(values)
    low, high = stats.t.interval(0.95, 5, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, min(1, high)))
    assert rate([1.0] * 9).low is None and rate([0.0, 1.0]).low is None


@pytest.mark.slow
def test_a_narrower_scoring_leaves_what_is_known(cli: Cli, folder: Path, base: str, tmp_path: Path) -> None:
    judge = f"openai-chat:looker-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge)
    for run in runs:
        given = ("--judge-option", f"controls={runs[0]}", "--metrics", f"judge_semantic[{judge}]")
        assert cli("score", run, *given, "--rescore").code == 0
    lines = (runs[0] / "scores/main.jsonl").read_text().splitlines()
    assert len(lines) == 8 * 3  # what needs no judge, what does, and this; none twice
    pairs = [p for p in compare_scores(load_runs(runs)).pairs if "judge" in p.metric or "vqa" in p.metric]
    assert len(pairs) == 5 and all(p.verdict != "not comparable" for p in pairs)


@pytest.mark.nightly
def test_other_controls_measure_anew(cli: Cli, folder: Path, base: str, tmp_path: Path) -> None:
    judge = f"openai-chat:looker-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge, every=False)
    first = only(RunFolder(runs[1]).info.calibrations)
    given = ("--judge-option", f"controls={runs[1]}", "--metrics", f"judge_alignment[{judge}]")
    assert cli("score", runs[1], *given).code == 0
    second = only(RunFolder(runs[1]).info.calibrations)
    assert (first.controls, second.controls) == ("clips of run good", "clips of run bad")
    assert second.rates["pictures"].value < first.rates["pictures"].value  # they do not show their prompts


def test_every_control_that_decides_has_a_bound_and_a_sentence() -> None:
    needed = {control for controls in (*REQUIRED.values(), PAIRWISE) for control in controls}
    assert needed == set(BOUNDS) == set(FAILED)
    assert set(CONTROLS) | {"answers"} == needed | {"order"}
    assert len(COLOURS) == 8


@pytest.mark.slow
def test_a_gate_asks_no_judge(cli: Cli, folder: Path, base: str, tmp_path: Path) -> None:
    judge = f"openai-chat:looker-{DATE}@{base}"
    runs = made(cli, folder, tmp_path, judge, every=False)
    assert cli("score", runs[0], "--metrics", "sharpness").code == 0
    place = tmp_path / "gate.json"
    done = cli("gate", "baseline", runs[0], "--out", place, "--primary", f"judge_alignment[{judge}]")
    assert done.code == 2 and "a gate asks no judge" in done.err
    done = cli("gate", "baseline", runs[0], "--out", place, "--primary", "sharpness", "--margin", "3sd")
    assert done.code == 0, done.err
    assert "judge_alignment" not in place.read_text()
