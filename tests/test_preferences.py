"""Votes to strengths, against other libraries; what is said of raters, checks and metrics."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import choix
import evalica
import numpy as np
import pytest
from scipy import stats

from evals.errors import LabelsError
from evals.ratings import crowd
from evals.ratings.agreement import kappa, share
from evals.ratings.desk import Desk, UnknownTrial
from evals.ratings.preference import chances, smallest_preference, strengths
from evals.ratings.results import metric_agreement, preferences
from evals.ratings.study import Choice, Pair, Run, Study, StudyFolder, Vote, _write
from evals.records import MetricInfo, Score, Spec


def votes_between(k: int, n: int, seed: int) -> tuple[list[int], list[int], list[float]]:
    """Who met whom, and 1, 0 or 0.5 for the first."""
    rng = np.random.default_rng(seed)
    strength = np.exp(rng.normal(size=k))
    a, b, won = [], [], []
    for _ in range(n):
        i, j = (int(x) for x in rng.choice(k, 2, replace=False))
        a.append(i)
        b.append(j)
        tied = rng.random() < 0.2
        won.append(0.5 if tied else float(rng.random() < strength[i] / (strength[i] + strength[j])))
    return a, b, won


def table(k: int, a: Sequence[int], b: Sequence[int], won: Sequence[float]) -> np.ndarray:
    wins = np.zeros((k, k))
    for i, j, x in zip(a, b, won, strict=True):
        wins[i, j] += x
        wins[j, i] += 1 - x
    return wins


@pytest.mark.parametrize(("k", "n", "seed"), [(2, 40, 0), (3, 60, 1), (5, 400, 2), (8, 900, 3)])
def test_strengths_equal_other_libraries(k: int, n: int, seed: int) -> None:
    a, b, won = votes_between(k, n, seed)
    wins = table(k, a, b, won)
    found = strengths(wins, prior=0)
    by_choix = np.exp(choix.ilsr_pairwise_dense(wins))
    assert found == pytest.approx(by_choix / np.exp(np.log(by_choix).mean()), rel=1e-6)
    names = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    made = evalica.bradley_terry(
        [f"m{i}" for i in a], [f"m{j}" for j in b], [names[x] for x in won], tolerance=1e-12, limit=10_000
    )
    theirs = np.array(made.scores.sort_index())
    assert found == pytest.approx(theirs / np.exp(np.log(theirs).mean()), rel=1e-6)


def test_two_models_have_the_share_of_votes() -> None:
    wins = np.array([[0, 7.5], [2.5, 0]])  # 6 wins, 3 ties, 1 loss
    assert chances(strengths(wins, prior=0)) == pytest.approx([0.75, 0.25])


def test_a_model_that_always_wins_is_not_infinitely_strong() -> None:
    wins = np.array([[0, 10.0, 10], [0, 0, 10], [0, 0, 0]])
    found = chances(strengths(wins))
    assert 0.9 < found[0] < 1 and found[0] > found[1] > found[2] > 0


def test_many_tables_at_once_are_as_one_by_one() -> None:
    tables = np.stack([table(4, *votes_between(4, 50, seed)) for seed in range(6)])
    assert strengths(tables) == pytest.approx(np.stack([strengths(one) for one in tables]), rel=1e-8)


def test_the_smallest_preference_that_votes_show() -> None:
    assert smallest_preference(194) == pytest.approx(0.6, abs=0.001)  # REFERENCE: 60 % needs about 194
    assert smallest_preference(0) == smallest_preference(5) == 1.0  # five of five: p = 0.06
    for n in (50, 200, 800):
        p = smallest_preference(n)
        critical = stats.binom.ppf(0.975, n, 0.5)  # the plain test, at the probability that it finds
        assert 1 - stats.binom.cdf(critical, n, p) == pytest.approx(0.8, abs=0.07)


def test_kappa_is_scipys_and_by_hand() -> None:
    # Cohen's own example has 0.492 for p_o = 0.7 and p_e = 0.41.
    counts = {
        (0, 0): 44,
        (0, 1): 5,
        (0, 2): 1,
        (1, 0): 7,
        (1, 1): 20,
        (1, 2): 3,
        (2, 0): 9,
        (2, 1): 5,
        (2, 2): 6,
    }
    a = [x for (x, _), n in counts.items() for _ in range(n)]
    b = [y for (_, y), n in counts.items() for _ in range(n)]
    found = kappa(a, b, [str(i) for i in range(100)], [0, 1, 2])
    assert found is not None and found.value == pytest.approx(0.492, abs=0.001)
    assert found.low is not None and found.high is not None and found.low < found.value < found.high
    ordered = kappa(a, b, [str(i) for i in range(100)], [0, 1, 2], quadratic=True)
    x, y = np.array(a, float), np.array(b, float)
    # Quadratic kappa as Lin's concordance of the ratings (Fleiss & Cohen 1973).
    lin = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert ordered is not None and ordered.value == pytest.approx(lin)
    assert kappa([1, 1], [1, 1], ["a", "b"], [0, 1]) is None
    assert kappa([1, 1, 1], [0, 1, 0], ["a", "b", "c"], [0, 1]) is None  # one of them says one thing only


def test_the_interval_of_a_share_is_over_prompts() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        chance = rng.beta(4, 2, 40)  # of each prompt, with five votes
        values = [float(rng.random() < p) for p in chance for _ in range(5)]
        found = share(values, [str(i) for i in range(40) for _ in range(5)])
        assert found.low is not None and found.high is not None
        hits += found.low <= 4 / 6 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def study(tmp_path: Path, prompts: int = 12, models: int = 2) -> StudyFolder:
    labels = [f"m{i}" for i in range(models)]
    pairs = tuple(
        Pair(id=f"{p}-{i}{j}", prompt_id=f"p-{p}", seed=0, text="a dog", a=labels[i], b=labels[j],
             sha256_a=f"{p}{i}", sha256_b=f"{p}{j}")
        for p in range(prompts) for i in range(models) for j in range(i + 1, models)
    )  # fmt: skip
    made = Study(
        id="x", name="s", aspect="overall", secret="secret-of-the-study",
        runs=tuple(Run(label=label, path=str(tmp_path / label)) for label in labels), pairs=pairs,
    )  # fmt: skip
    tmp_path.mkdir(exist_ok=True)
    _write(tmp_path, made)
    return StudyFolder(tmp_path)


def vote(pair: str, choice: Choice, rater: str = "ann", **fields: object) -> Vote:
    return Vote.model_validate({"pair": pair, "choice": choice, "rater": rater, "left": "a", **fields})


def test_preferences_are_by_prompts(tmp_path: Path) -> None:
    found = study(tmp_path)
    votes = [vote(p.id, "a" if i < 10 else "tie", r) for i, p in enumerate(found.study.pairs) for r in "xy"]
    made = preferences(found.study, votes)
    pair = made.pairs[0]
    assert (pair.wins, pair.ties, pair.losses, pair.n_prompts) == (20, 4, 0, 12)
    assert pair.preferred == pytest.approx(22 / 24) and pair.p == pytest.approx(2 / 2**10)
    assert pair.ci_low is not None and pair.ci_low > 0.5
    assert made.models[0].preferred > 0.85 and made.models[0].ci_low is not None
    none = preferences(found.study, [vote(p.id, "tie") for p in found.study.pairs])
    assert none.pairs[0].p == 1 and none.pairs[0].preferred == 0.5


def test_equal_models_are_told_apart_by_chance_only(tmp_path: Path) -> None:
    found = study(tmp_path, 30)
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(200):
        lean = rng.beta(2, 2, 30)  # a prompt favours one of them, by chance
        votes = [
            vote(p.id, "a" if rng.random() < lean[i] else "b", r)
            for i, p in enumerate(found.study.pairs) for r in "xyz"
        ]  # fmt: skip
        wrong += preferences(found.study, votes).pairs[0].p_holm <= 0.05
    assert wrong <= 18  # 5 %, and the chance of 19 or more is below 0.5 %


def test_raters_who_fail_the_checks_are_left_out(tmp_path: Path) -> None:
    found = study(tmp_path)
    good = [vote(p.id, "a") for p in found.study.pairs] + [
        vote(f"{i}-01", "a", kind="blurred") for i in range(3)
    ]
    bad = [vote(p.id, "b", "bob") for p in found.study.pairs] + [
        vote(f"{i}-01", "b", "bob", kind="blurred") for i in range(3)
    ]
    made = preferences(found.study, good + bad)
    assert {r.rater: r.kept for r in made.raters} == {"ann": True, "bob": False}
    assert made.pairs[0].losses == 0
    assert preferences(found.study, good + bad, keep_all=True).pairs[0].losses == 12


def test_raters_are_drawn_anew_where_there_are_enough(tmp_path: Path) -> None:
    found = study(tmp_path, 40)
    rng = np.random.default_rng(1)
    chance = rng.beta(1, 1, 12)  # raters differ much
    votes = [
        vote(p.id, "a" if rng.random() < chance[r] else "b", f"r{r}")
        for p in found.study.pairs for r in range(12)
    ]  # fmt: skip
    wide = preferences(found.study, votes)
    narrow = preferences(
        found.study, [v.model_copy(update={"rater": f"r{i % 4}"}) for i, v in enumerate(votes)]
    )
    assert wide.over_raters and not narrow.over_raters
    a, b = wide.models[0], narrow.models[0]
    assert a.ci_low is not None and a.ci_high is not None and b.ci_low is not None and b.ci_high is not None
    assert a.ci_high - a.ci_low > 1.5 * (b.ci_high - b.ci_low)


def test_metrics_and_judges_are_measured_by_the_votes(tmp_path: Path) -> None:
    found = study(tmp_path)
    votes = [vote(p.id, "a" if i % 3 else "tie") for i, p in enumerate(found.study.pairs)]

    def info(name: str, direction: Literal["higher", "lower", "none"]) -> MetricInfo:
        return MetricInfo(id=name, spec=Spec(name=name), extractors={}, direction=direction)

    metrics = {n: info(n, d) for n, d in (("up", "higher"), ("down", "lower"), ("off", "none"))}  # type: ignore[arg-type]
    scores = {
        run: {(f"p-{p}", 0): {n: Score(status="ok", value=value) for n in metrics} for p in range(12)}
        for run, value in (("m0", 1.0), ("m1", 0.0))
    }
    judged = [vote(p.id, "b", "j", left="both", inconsistent=i >= 6) for i, p in enumerate(found.study.pairs)]
    made = metric_agreement(found.study, votes, {"m0": metrics, "m1": metrics}, scores, judged)
    assert {one.metric: (one.agreement, one.n) for one in made} == {
        "up": (1.0, 8), "down": (0.0, 8), "judge_pairwise[j]": (0.25, 8),
    }  # fmt: skip


def test_a_desk_gives_every_rater_every_pair_once_with_checks_between(tmp_path: Path) -> None:
    found = study(tmp_path, 20)
    seen: dict[str, list[str]] = {"ann": [], "bob": []}
    sides: list[str] = []
    with Desk(found) as desk:
        for rater in seen:
            while (trial := desk.next(rater)) is not None:
                assert desk.next(rater) == trial  # the same until it is voted on
                seen[rater].append(f"{trial.kind} {trial.pair.id}")
                sides.append(trial.left)
                desk.vote(rater, trial.id, "left", 1.5)
                with pytest.raises(UnknownTrial):
                    desk.vote(rater, trial.id, "left", 1.5)
    for names in seen.values():
        assert sorted(n for n in names if n.startswith("pair")) == sorted(
            f"pair {p.id}" for p in found.study.pairs
        )
        assert len(set(names)) == len(names)
        assert {n.partition(" ")[0] for n in names} == {"pair", "blurred", "repeat"}
    assert seen["ann"] != seen["bob"] and 8 <= sides.count("a") <= len(sides) - 8
    votes = found.votes()
    first = {(v.rater, v.pair): v.left for v in votes if v.kind == "pair"}
    repeats = [v for v in votes if v.kind == "repeat"]
    assert repeats and all(v.left != first[v.rater, v.pair] for v in repeats)  # sides swapped


def test_the_least_voted_pairs_come_first(tmp_path: Path) -> None:
    found = study(tmp_path, 12)
    with Desk(found, most=6) as desk:
        for rater in ("ann", "bob"):
            while (trial := desk.next(rater)) is not None:
                desk.vote(rater, trial.id, "tie", None)
        assert desk.done("ann") == desk.done("bob") == 6
    pairs = [v.pair for v in found.votes() if v.kind == "pair"]
    assert len(set(pairs)) == 12


def test_crowd_tasks_go_out_and_come_back(tmp_path: Path) -> None:
    found = study(tmp_path / "s", 10)
    found.clips.mkdir()
    for pair in found.study.pairs:
        for sha in (pair.sha256_a, pair.sha256_b):
            found.clip(sha).write_bytes(f"clip {sha}".encode())
            found.clip(sha, blurred=True).write_bytes(f"blurred {sha}".encode())
    count = crowd.export(found, tmp_path / "out")
    with (tmp_path / "out" / "tasks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count > 10
    text = (tmp_path / "out" / "tasks.csv").read_text()
    assert "m0" not in text and "m1" not in text and not any(p.id in text for p in found.study.pairs)
    names = [row[side] for row in rows for side in ("left", "right")]
    assert len(set(names)) == len(names) and all((tmp_path / "out" / name).is_file() for name in names)
    answers = tmp_path / "answers.csv"

    def prefers_m0(row: dict[str, str]) -> str:
        left = (tmp_path / "out" / row["left"]).read_text()
        right = (tmp_path / "out" / row["right"]).read_text()
        checked = left.startswith("blurred") or right.startswith("blurred")
        better = right.startswith("blurred") if checked else left.endswith("0")
        return "left" if better else "right"

    with answers.open("w") as file:
        table = csv.writer(file)
        table.writerow(["task", "rater", "choice"])
        table.writerows([row["task"], "worker-1", prefers_m0(row)] for row in rows)
    assert crowd.take(found, answers) == count and crowd.take(found, answers) == 0
    made = preferences(found.study, found.votes())
    assert made.pairs[0].wins == 10 and made.raters[0].checks_passed == made.raters[0].checks > 0
    for line, said in (
        ("nonsense,w,left", "none of this study"), (f"{rows[0]['task']},w,up", "none of left, right, tie"),
        (f"{rows[0]['task']},,left", "names no rater"),
    ):  # fmt: skip
        answers.write_text(f"task,rater,choice\n{rows[1]['task']},w,left\n{line}\n")
        with pytest.raises(LabelsError, match=rf"answers.csv:3: .*{said}"):
            crowd.take(found, answers)
    assert len(found.votes()) == count  # a file with a bad line adds nothing
