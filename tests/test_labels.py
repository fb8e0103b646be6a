"""A judge's rate corrected by people's labels, in simulation, against the method's own package, and by
command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from evals.errors import LabelsError, MetricError
from evals.ratings.labels import read_labels
from evals.ratings.prediction_powered import corrected_mean
from tests.conftest import Cli
from tests.judgeserver import COLOURS, DATE, Judges, World, write_discs
from tests.test_judge_controls import WRONG
from tests.videoserver import serve

KINDS = {"fair": (1.0, 0.0, 0.1), "says yes": (0.4, 0.5, 0.1), "upside down": (-0.8, 0.9, 0.05),
         "blind": (0.0, 0.7, 0.25)}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labelled", [40, 120])
def test_the_corrected_rate_covers_the_truth(kind: str, labelled: int) -> None:
    """Prompts with five questions each; a judge that follows the truth, is biased, contradicts it, or sees
    nothing."""
    slope, offset, noise = KINDS[kind]
    rng = np.random.default_rng([labelled, list(KINDS).index(kind)])
    runs, hits, plain = 1500, 0, []
    for _ in range(runs):
        y = rng.binomial(5, rng.beta(6, 2, 400)) / 5
        f = np.clip(offset + slope * y + rng.normal(0, noise, 400), 0, 1)
        found = corrected_mean(y[:labelled], f[:labelled], f[labelled:], 0.0, 1.0)
        hits += found.low <= 0.75 <= found.high
        alone = 2 * 1.98 * float(np.std(y[:labelled], ddof=1)) / np.sqrt(labelled)
        plain.append((found.high - found.low) / alone)
    assert 0.93 <= hits / runs <= 0.97
    # Never much wider than people's labels alone, and much narrower where the judge sees something.
    assert np.mean(plain) < (1.03 if kind == "blind" else 0.85 if kind == "fair" else 1.03)


def test_it_is_the_methods_own_packages_number() -> None:
    """Point estimates and Wald intervals of `ppi_py` 0.2.3 (`ppi_mean_pointestimate`, `ppi_mean_ci`) on these
    numbers; ours has Student's quantile in place of the normal one."""
    rng = np.random.default_rng(3)
    y = rng.random(50)
    f = 0.5 * y + 0.3 * rng.random(50)
    u = 0.5 * rng.random(200) + 0.3 * rng.random(200)
    found = corrected_mean(y, f, u, weight=1.0)
    assert found.mean == pytest.approx(0.50428363, abs=1e-8)
    assert (found.high - found.low) / (0.5499455 - 0.45862176) == pytest.approx(2.007 / 1.96, rel=0.01)
    u2 = rng.random(60) * 0.4
    y2 = rng.random(50)
    f2 = 0.3 * y2 + 0.5 * rng.random(50)
    tuned = corrected_mean(y2, f2, u2)
    assert tuned.mean == pytest.approx(0.39020301, abs=1e-8) and 0 < tuned.weight < 1


def test_its_ends() -> None:
    y = np.r_[np.ones(19), 0.0]
    found = corrected_mean(y, y, np.r_[np.ones(495), np.zeros(5)], 0.0, 1.0)
    assert found.high <= 1.0
    alone = corrected_mean(y, np.zeros(20), [], 0.0, 1.0)
    assert alone.weight == 0 and alone.mean == pytest.approx(0.95)
    with pytest.raises(MetricError, match="all alike"):
        corrected_mean(np.ones(20), np.ones(20), np.ones(30))
    with pytest.raises(MetricError, match="needs 10"):
        corrected_mean([1.0] * 9, [1.0] * 9, [1.0] * 50)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt_id,question\nred,there\n", "has no column answer"),
        ("prompt_id,question,answer\nred,there,maybe\n", r":2: the answer 'maybe' is none of yes, no"),
        ("prompt_id,question,answer\nred,semantic,yes\n", r":2: .* is none of 1, 2, 3, 4, 5"),
        ("prompt_id,question,answer,seed\nred,there,yes,x\n", r":2: the seed 'x'"),
        ("prompt_id,question,answer\n,there,yes\n", r":2: names no prompt"),
        ("prompt_id,question,answer\n", "holds no label"),
        ("", "has no column"),
    ],
)
def test_a_broken_label_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    place = tmp_path / "labels.csv"
    place.write_text(text)
    with pytest.raises(LabelsError, match=said):
        read_labels(place)
    with pytest.raises(LabelsError, match="no such file"):
        read_labels(tmp_path / "none.csv")


def test_labels_correct_a_run(cli: Cli, tmp_path: Path) -> None:
    """Six of eight clips show another colour. The judge that says yes thinks well of them; people's labels
    say what is true."""
    prompts = write_discs(tmp_path / "bad", WRONG)
    with serve(World(tmp_path / "server"), Judges) as base:
        run = tmp_path / "runs" / "bad"
        assert cli("generate", "--generator", f"folder:{tmp_path / 'bad'}", "--prompts", prompts,
                   "--out", tmp_path / "runs", "--name", "bad").code == 0  # fmt: skip
        judge = f"openai-chat:yes-{DATE}@{base}"
        assert cli("score", run, "--judge", judge, "--judge-option", f"controls={run}",
                   "--metrics", "sharpness").code == 0  # fmt: skip
    labels = tmp_path / "labels.csv"
    with labels.open("w") as file:
        table = csv.writer(file)
        table.writerow(["prompt_id", "question", "answer", "rater"])
        for name in COLOURS:
            shown = "no" if name in WRONG else "yes"
            other = next(c for c in COLOURS if c != name)
            instead = "yes" if WRONG.get(name, name) == other else "no"
            for rater in "ab":
                table.writerow([name, "there", shown, rater])
                table.writerow([name, "moves", "yes", rater])
                table.writerow([name, "other", instead, rater])
                table.writerow([name, "semantic", "5" if shown == "yes" else "1", rater])
    done = cli("judge", "calibrate", run, "--labels", labels, "--json")
    assert done.code == 0, done.err
    found = {one["metric"].partition("[")[0]: one for one in json.loads(done.out)["metrics"]}
    alignment, semantic = found["judge_alignment"], found["judge_semantic"]
    assert alignment["judge"] == pytest.approx(2 / 3)  # it says yes to "another instead", too
    # By people: red, white, yellow, purple, cyan and green show another colour, so that neither the disc nor
    # its motion is as asked for; "other" asks for red, and of red for green.
    people = []
    for name in COLOURS:
        there = name not in WRONG
        other = next(c for c in COLOURS if c != name)
        people.append(np.mean([float(there), float(there), float(WRONG.get(name, name) != other)]))
    assert alignment["people"] == pytest.approx(np.mean(people))
    assert alignment["corrected"] is None and "needs 10" in alignment["why_none"]
    assert alignment["kappa"] is None  # it says one thing only
    assert semantic["judge"] == 5 and semantic["people"] == pytest.approx((2 * 5 + 6 * 1) / 8)
    text = cli("judge", "calibrate", run, "--labels", labels).out
    assert "labelled" in text and "needs 10" in text
    labels.write_text("prompt_id,question,answer\nred,nothing,yes\n")
    done = cli("judge", "calibrate", run, "--labels", labels)
    assert done.code == 2 and "which has there, moves, other" in done.err
    labels.write_text("prompt_id,question,answer\nred,there,yes\nred,other,no\n")
    done = cli("judge", "calibrate", run, "--labels", labels)
    assert done.code == 2 and "lack question 'moves'" in done.err
    labels.write_text("prompt_id,question,answer\nred,there,no\nred,other,no\n")  # no disc, so it can't move
    assert cli("judge", "calibrate", run, "--labels", labels).code == 0
    labels.write_text("prompt_id,question,answer\npink,there,yes\n")
    assert "which" in cli("judge", "calibrate", run, "--labels", labels).err
