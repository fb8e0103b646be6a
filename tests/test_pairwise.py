"""A judge's choice between runs: both orders, controls, and agreement with people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.ratings.study import StudyFolder, Vote
from evals.runs.journal import Journal
from tests.conftest import Cli
from tests.judgeserver import COLOURS, DATE, Judges, World, write_discs
from tests.test_judge_controls import WRONG, only
from tests.videoserver import serve


@pytest.fixture
def runs(cli: Cli, tmp_path: Path) -> list[Path]:
    prompts = write_discs(tmp_path / "good")
    write_discs(tmp_path / "bad", WRONG)
    for name in ("good", "bad"):
        done = cli("generate", "--generator", f"folder:{tmp_path / name}", "--prompts", prompts,
                   "--out", tmp_path / "runs", "--name", name)  # fmt: skip
        assert done.code == 0, done.err
    return [tmp_path / "runs" / "good", tmp_path / "runs" / "bad"]


@pytest.mark.parametrize("model", ["looker", "yes"])
def test_only_what_holds_in_both_orders_is_a_vote(
    cli: Cli, runs: list[Path], tmp_path: Path, model: str
) -> None:
    world = World(tmp_path / "server")
    with serve(world, Judges) as base:
        judge = f"openai-chat:{model}-{DATE}@{base}"
        arguments = ("judge", "compare", *runs, "--judge", judge, "--judge-option", f"controls={runs[0]}",
                     "--out", tmp_path / "study", "--json")  # fmt: skip
        done = cli(*arguments)
        assert done.code == 0, done.err
        found = json.loads(done.out)
        before = sum(world.submits.values())
        assert cli(*arguments).code == 0 and sum(world.submits.values()) == before
    study = StudyFolder(tmp_path / "study")
    assert only(study.study.calibrations).rates["pairs"].value == (1.0 if model == "looker" else 0.0)
    votes = {study.pairs[vote.pair].prompt_id: vote for vote in study.votes()}
    assert set(votes) == set(COLOURS)
    if model == "yes":  # it says "first" whatever the order
        assert all(vote.inconsistent for vote in votes.values())
        assert found["pairs"] == [] and "gives one answer whatever is asked" in found["doubt"]
        return
    for name, vote in votes.items():
        assert not vote.inconsistent and vote.left == "both"
        assert vote.choice == ("a" if name in WRONG else "tie"), name
    pair = found["pairs"][0]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (6, 2, 0) and pair["a"] == "good"
    assert pair["p_holm"] == pytest.approx(2 / 2**6) and found["doubt"] == ""
    with Journal(study.votes_file) as journal:  # people see it as the judge does, but for one pair
        for number, one in enumerate(study.study.pairs):
            choice = "a" if one.prompt_id in WRONG or not number else "b"
            made = Vote(pair=one.id, rater="ann", choice=choice, left="a")
            journal.append(made.model_dump(mode="json", by_alias=True))
    told = cli("rate", "show", tmp_path / "study", "--json")
    people, judged = json.loads(told.out)["preferences"]
    agreement = {one["metric"]: one for one in people["agreement"]}
    assert agreement[f"judge_pairwise[{judge}]"]["agreement"] == pytest.approx((6 + 2 * 0.5) / 8)
    assert judged["by"] == judge
    text = cli("rate", "show", tmp_path / "study").out
    assert "Preferred by" in text and "judge_pairwise" in text


@pytest.mark.parametrize("aspect", [pytest.param("motion", marks=pytest.mark.nightly), "appearance"])
def test_other_aspects_have_controls_of_their_own(
    cli: Cli, runs: list[Path], tmp_path: Path, aspect: str
) -> None:
    with serve(World(tmp_path / "server"), Judges) as base:
        judge = f"openai-chat:coin-{DATE}@{base}"
        done = cli("judge", "compare", *runs, "--judge", judge, "--judge-option", f"controls={runs[0]}",
                   "--out", tmp_path / "study", "--aspect", aspect, "--limit", "3")  # fmt: skip
    assert done.code == 0, done.err
    study = StudyFolder(tmp_path / "study")
    rates = only(study.study.calibrations).rates
    assert rates["pairs"].n == 8 and rates["pairs"].value < 0.7
    assert len(study.study.pairs) == 3 and "No verdicts from" in done.out


@pytest.mark.slow
def test_votes_of_the_judge_in_another_form_are_others(cli: Cli, runs: list[Path], tmp_path: Path) -> None:
    with serve(World(tmp_path / "server"), Judges) as base:
        arguments = ("judge", "compare", *runs, "--judge", f"openai-chat:looker@{base}", "--judge-option",
                     f"controls={runs[0]}", "--out", tmp_path / "study", "--json")  # fmt: skip
        assert "another model" in json.loads(cli(*arguments).out)["doubt"]
        pinned = json.loads(cli(*arguments, "--judge-option", "revision=abc").out)
        assert pinned["doubt"] == "" and pinned["n_votes"] == 8
    votes = StudyFolder(tmp_path / "study").votes()
    assert len(votes) == 16 and len({vote.judge for vote in votes}) == 2


@pytest.mark.slow
def test_a_study_is_of_these_runs_and_these_clips(cli: Cli, runs: list[Path], tmp_path: Path) -> None:
    prompts, study = tmp_path / "good.yaml", tmp_path / "study"
    again = ("generate", "--generator", f"folder:{tmp_path / 'good'}", "--prompts", prompts, "--name", "good")
    assert cli("rate", "export", *runs, "--study", study, "--out", tmp_path / "tasks").code == 0
    assert cli(*again, "--out", tmp_path / "other").code == 0
    with serve(World(tmp_path / "server"), Judges) as base:
        arguments = ("--judge", f"openai-chat:looker-{DATE}@{base}", "--judge-option", f"controls={runs[1]}",
                     "--out", study)  # fmt: skip
        assert cli("judge", "compare", *runs, *arguments, "--limit", "3").code == 2
        done = cli("judge", "compare", tmp_path / "other" / "good", runs[1], *arguments)
        assert done.code == 2 and "other runs of these names" in done.err
        (tmp_path / "good" / "yellow.mp4").write_bytes((tmp_path / "good" / "blue.mp4").read_bytes())
        assert cli(*again, "--out", tmp_path / "runs").code == 0
        done = cli("judge", "compare", *runs, *arguments)
        assert done.code == 4 and "a clip is gone, or another one now" in done.err
    assert len(StudyFolder(study).votes()) == 7


def test_a_judge_that_is_away_is_told(cli: Cli, runs: list[Path], tmp_path: Path) -> None:
    judge = f"openai-chat:looker-{DATE}@http://127.0.0.1:9/v1"
    done = cli("judge", "compare", *runs, "--judge", judge, "--judge-option", f"controls={runs[0]}",
               "--judge-option", "pause=0", "--out", tmp_path / "study")  # fmt: skip
    assert done.code == 2 and "answered none of the first 3 questions" in done.err
    assert StudyFolder(tmp_path / "study").votes() == []
