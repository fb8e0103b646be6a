"""The baseline file, and the margins it freezes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evals.errors import BaselineError, OtherSchema, UsageError
from evals.gate import baseline as files
from evals.gate.opening import Choice, make
from evals.records import digest
from evals.runs.folder import RunFolder
from tests.gating import baseline_of, model, scores
from tests.test_gate import folder, rng

__all__ = ["folder", "rng"]  # fixtures

# --- the file ---


@pytest.fixture
def file(folder: RunFolder, rng: np.random.Generator, tmp_path: Path) -> Path:
    files.write(baseline_of(scores(folder, model(rng, prompts=10))), tmp_path / "base.json")
    return tmp_path / "base.json"


def test_a_file_is_read_as_it_was_written(file: Path) -> None:
    assert files.read(file).margins and files.read(file).schema_ == 1
    files.write(files.read(file), file.with_name("again.json"))
    assert file.read_bytes() == file.with_name("again.json").read_bytes()


def test_a_cut_or_edited_file_is_refused(file: Path) -> None:
    whole = file.read_text()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_text(whole[:place])
        with pytest.raises(BaselineError):
            files.read(file)
    file.write_text(whole.replace('"good": 0.', '"good": 9.', 1))
    with pytest.raises(BaselineError, match="damaged or was edited"):
        files.read(file)
    with pytest.raises(BaselineError, match="no such baseline"):
        files.read(file.with_name("none.json"))


def test_another_schema_is_refused(file: Path) -> None:
    data = json.loads(file.read_text())
    del data["check"]
    data["schema"] = 99
    file.write_text(json.dumps({**data, "check": digest(data)}))
    with pytest.raises(OtherSchema, match="schema 99"):
        files.read(file)


def test_scores_come_back_as_they_were(folder: RunFolder, rng: np.random.Generator, tmp_path: Path) -> None:
    values = model(rng, prompts=8)
    values["good"][3, 1] = np.nan
    run = scores(folder, values)
    files.write(baseline_of(run), tmp_path / "base.json")
    back = files.as_scores(files.read(tmp_path / "base.json"))
    assert back.digests == run.digests
    assert np.array_equal(back.grid.values, run.grid.values, equal_nan=True)
    assert np.array_equal(back.grid.applies, run.grid.applies)
    assert list(back.samples["status"]) == list(run.samples["status"])


# --- margins ---


def test_margins_are_frozen_numbers(folder: RunFolder, rng: np.random.Generator) -> None:
    values = model(rng)
    made, remarks = make(scores(folder, values), "base", Choice())
    spread = float(values["good"].mean(1).std(ddof=1))
    assert made.tier == "standard" and not remarks
    assert made.margins["good"] == pytest.approx(0.35 * spread)
    assert made.margins["failure_rate"] == 0.05
    fast, _ = make(scores(folder, model(rng, prompts=60)), "base", Choice())
    assert fast.tier == "fast"
    own, _ = make(scores(folder, values), "base", Choice(margins=("0.5sd", "bad=0.7")))
    assert own.margins["good"] == pytest.approx(0.5 * spread) and own.margins["bad"] == 0.7


@pytest.mark.parametrize(
    ("prompts", "seeds", "choice", "said"),
    [
        (24, 1, Choice(), "reaches no tier"),
        (24, 1, Choice(margins=("0.3sd",)), "takes about 190 prompts"),
        (60, 2, Choice(tier="standard"), "needs 100 prompts"),
        (100, 2, Choice(margins=("good=0.001",)), "too small for 100 prompts"),
        (100, 2, Choice(margins=("0.5",)), "write standard deviations"),
        (100, 2, Choice(margins=("godd=1",)), "did you mean 'good'"),
        (100, 2, Choice(margins=("good=-1",)), "is no margin"),
        (100, 2, Choice(primary=("godd",)), "did you mean 'good'"),
    ],
)
def test_what_a_design_cannot_show_is_refused(
    folder: RunFolder, rng: np.random.Generator, prompts: int, seeds: int, choice: Choice, said: str
) -> None:
    """Before anything runs, with what it would take."""
    with pytest.raises(UsageError, match=said):
        make(scores(folder, model(rng, prompts, seeds, noise=1.0)), "base", choice)
