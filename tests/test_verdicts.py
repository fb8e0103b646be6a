"""Verdicts on made-up scores: families, equivalence, missing samples, trade-offs, and the one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from evals.compare import Comparison, Rules, RunScores, compare_scores
from evals.compare.paired import paired_difference
from evals.compare.results import Pair
from evals.errors import Reason, UsageError
from evals.records import MetricInfo, Spec
from evals.report.words import answer, sentences

Array = NDArray[np.float64]


def metric(name: str, **changes: Any) -> MetricInfo:
    fields = {"id": name, "spec": Spec(name=name), "extractors": {}, "direction": "higher", **changes}
    return MetricInfo.model_validate(fields)


def run(label: str, columns: dict[str, Array], infos: list[MetricInfo], seeds: int = 1) -> RunScores:
    n = len(next(iter(columns.values()))) // seeds
    table = pd.DataFrame(columns)
    table["prompt_id"] = np.repeat([f"p{i:03d}" for i in range(n)], seeds)
    table["seed"] = np.tile(np.arange(seeds), n)
    return RunScores.of_table(label, table, infos)


def pair_of(found: Comparison, name: str = "m", a: str = "a", b: str = "b") -> Pair:
    return next(p for p in found.pairs if (p.metric, p.a, p.b) == (name, a, b))


def test_adding_a_run_changes_no_verdict_between_two_others() -> None:
    infos = [metric(f"m{j}") for j in range(5)]
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 5))

    def made(label: str, shift: float) -> RunScores:
        noise = base + rng.normal(0, 0.8, base.shape) + shift * np.arange(5) / 4
        return run(label, {f"m{j}": noise[:, j] for j in range(5)}, infos)

    runs = [made("a", 0.0), made("b", 0.4), made("c", 0.8), made("d", -2.0)]
    two, four = compare_scores(runs[:2]), compare_scores(runs)
    assert [p for p in four.pairs if (p.a, p.b) == ("a", "b")] == list(two.pairs)
    assert four.standings[0] == two.standings[0]
    assert "worse" in {p.verdict for p in two.pairs}
    whole = compare_scores(runs, rules=Rules(family="report"))
    assert {p.family for p in two.pairs} == {5} and {p.family for p in whole.pairs} == {30}
    strict = [p.p_holm or 0 for p in whole.pairs if (p.a, p.b) == ("a", "b")]
    assert all(w >= (t.p_holm or 0) - 1e-3 for w, t in zip(strict, two.pairs, strict=True))


def test_the_comparison_uses_paired_difference() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 1, 90), rng.normal(0, 1, 90)
    pair = pair_of(
        compare_scores([run("a", {"m": a}, [metric("m")], 3), run("b", {"m": b}, [metric("m")], 3)])
    )
    alone = paired_difference(a, b, np.repeat(np.arange(30), 3))
    assert pair.n_prompts == alone.n == 30
    ours = [pair.difference, pair.ci_low, pair.ci_high, pair.p]
    assert ours == pytest.approx([alone.difference, alone.low, alone.high, alone.p])


def test_joint_intervals_agree_with_the_verdicts() -> None:
    rng = np.random.default_rng(2)
    infos = [metric(f"m{j}") for j in range(6)]
    seen = set()
    for _ in range(12):
        sides = [{f"m{j}": rng.normal(0.12 * j * (side == 0), 1, 30) for j in range(6)} for side in range(2)]
        for p in compare_scores([run("a", sides[0], infos), run("b", sides[1], infos)]).pairs:
            assert p.joint_low is not None and p.joint_high is not None and p.p_holm is not None
            excludes = p.joint_low > 0 or p.joint_high < 0
            assert excludes == (p.p_holm <= 0.05 + 1e-12) == (p.verdict in ("better", "worse"))
            assert p.joint_level is not None and 1 - 0.05 / 6 >= p.joint_level - 1e-12 >= 0.95 - 1e-9
            seen.add(p.verdict)
    assert {"better", "inconclusive"} <= seen


def test_equal_scores_are_identical_and_no_test() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=30)
    infos = [metric("m"), metric("other")]
    found = compare_scores([
        run("a", {"m": x, "other": x + rng.normal(1, 0.1, 30)}, infos), run("b", {"m": x, "other": x}, infos)
    ])  # fmt: skip
    same = pair_of(found)
    assert (same.verdict, same.p, same.difference, same.family) == ("identical", None, 0.0, 0)
    assert pair_of(found, "other").family == 1
    copy = compare_scores([run("a", {"m": x}, infos[:1]), run("b", {"m": x}, infos[:1])])
    assert answer(copy) == "The runs have identical scores."


def test_equivalent_within_the_margin() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, 80)
    a, b = run("a", {"m": x}, [metric("m")]), run("b", {"m": x + rng.normal(0, 0.3, 80)}, [metric("m")])
    pair = pair_of(compare_scores([a, b]))
    assert pair.verdict == "equivalent" and pair.margin == pytest.approx(0.2 * x.std(ddof=1))
    tight = pair_of(compare_scores([a, b], rules=Rules(margins={"m": 0.001})))
    assert tight.verdict == "inconclusive" and tight.reason == Reason.UNDECIDED
    assert tight.more_prompts is not None and tight.more_prompts > 1000


def test_a_small_but_certain_difference_is_told_as_small() -> None:
    x = np.random.default_rng(5).normal(0, 1, 80)
    pair = pair_of(
        compare_scores([run("a", {"m": x + 0.05}, [metric("m")]), run("b", {"m": x}, [metric("m")])])
    )
    assert pair.verdict == "better" and pair.within_margin


def lose_worst(values: Array, share: float) -> Array:
    lost = values.copy()
    lost[np.argsort(values)[: round(share * len(values))]] = np.nan
    return lost


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_failing_on_ones_worst_videos_does_not_win(direction: str) -> None:
    """Equal models, of which one loses its worst 18 %: better without the rule, and not with it."""
    rng = np.random.default_rng(6)
    info = metric("m", direction=direction)
    won, accused = 0, 0
    for _ in range(16):
        content = rng.normal(0, 1, 100)
        a, b = (content + rng.normal(0, 1, 100) for _ in "ab")
        sign = 1.0 if direction == "higher" else -1.0
        a = sign * lose_worst(sign * a, 0.18)
        pair = pair_of(compare_scores([run("a", {"m": a}, [info]), run("b", {"m": b}, [info])]))
        won += pair.verdict == "better"
        accused += pair.reason == Reason.MISSING_MAY_MATTER
        assert pair.lost_a == 18 and pair.lost_b == 0
    assert won == 0
    assert accused >= 3


def test_a_claim_that_holds_whatever_is_missing_is_made() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(3, 0.5, 60), rng.normal(0, 0.5, 60)
    a[:6] = np.nan
    pair = pair_of(compare_scores([run("a", {"m": a}, [metric("m")]), run("b", {"m": b}, [metric("m")])]))
    assert pair.coverage == pytest.approx(0.9) and pair.verdict == "better"


def test_failures_are_compared_as_a_rate() -> None:
    rng = np.random.default_rng(8)
    runs = [run(label, {"m": rng.normal(size=60)}, [metric("m")]) for label in "ab"]
    runs[0].samples.loc[:20, ["status", "reason"]] = ["refused", Reason.REFUSED]
    found = compare_scores(runs)
    pair = pair_of(found, "refusal_rate")
    assert pair.difference == pytest.approx(21 / 60) and pair.verdict == "worse"
    assert found.metrics["refusal_rate"].aspect == "cost" and "failure_rate" not in found.metrics
    assert "refusal_rate" not in set(found.scores["metric"])


STEADY = metric("steady", aspect="consistency", rewarded_by=("stillness",))
MOTION = metric("motion_score", aspect="motion", role="diagnostic", reveals=("stillness",), low=0.0, high=1.0)
MATCH = metric("match", aspect="alignment")
LOOK = metric("look", aspect="appearance")


def still_and_lively(rng: np.random.Generator, n: int = 60) -> list[RunScores]:
    """A model that hardly moves, is steadier for it and looks a little better, beside one that moves."""
    content = rng.normal(0, 1, (3, n))

    def made(label: str, steady: float, moves: float, look: float) -> RunScores:
        columns = {
            "match": content[0] + rng.normal(0, 0.5, n),
            "motion_score": np.where(rng.random(n) < moves, 0.9, 0.1),
            "steady": content[1] + rng.normal(steady, 0.5, n),
            "look": content[2] + rng.normal(look, 0.5, n),
        }
        return run(label, columns, [MATCH, MOTION, STEADY, LOOK])

    return [made("still", 1.5, 0.1, 0.0), made("lively", 0.0, 0.8, 0.0)]


def test_steadiness_from_stillness_is_a_trade_off_and_wins_nothing() -> None:
    found = compare_scores(still_and_lively(np.random.default_rng(9)))
    steady = pair_of(found, "steady", "still", "lively")
    assert (steady.verdict, steady.reason) == ("trade-off", Reason.LESS_MOTION)
    assert steady.message == "still is steadier, with less motion"
    assert pair_of(found, "motion_score", "still", "lively").verdict is None  # a diagnostic
    [standing] = found.standings
    consistency = next(one for one in standing.aspects if one.aspect == "consistency")
    assert consistency.n_prompts < 20  # where both move
    assert "steadier than lively, with less motion, which counts as no win" in sentences(found)[0]
    assert standing.overall not in ("better", "ahead")


def test_a_steadiness_that_costs_no_motion_is_better() -> None:
    rng = np.random.default_rng(10)
    runs = []
    for label, gain in (("a", 1.0), ("b", 0.0)):
        columns = {"steady": rng.normal(gain, 1, 60), "motion_score": rng.uniform(0.6, 1, 60)}
        runs.append(run(label, columns, [STEADY, MOTION]))
    found = compare_scores(runs)
    assert pair_of(found, "steady").verdict == "better" and found.standings[0].overall == "better"
    assert answer(found) == "a is better than the other."


def test_wins_and_losses_are_mixed_and_weights_decide_only_when_given() -> None:
    rng = np.random.default_rng(11)
    infos = [MATCH, LOOK]
    a = run("a", {"match": rng.normal(1, 1, 80), "look": rng.normal(0, 1, 80)}, infos)
    b = run("b", {"match": rng.normal(0, 1, 80), "look": rng.normal(1, 1, 80)}, infos)
    found = compare_scores([a, b])
    [one] = found.standings
    assert one.overall == "mixed" and one.those("wins") == ["alignment"] and one.weighted is None
    assert answer(found) == "Neither is better overall: a wins alignment and loses appearance against b."
    [weighed] = compare_scores([a, b], rules=Rules(weights={"alignment": 3, "appearance": 1})).standings
    assert weighed.weighted is not None and weighed.weighted_low is not None and weighed.weighted_low > 0
    assert one.aspects[0].win_rate is not None and one.aspects[0].win_rate > 0.5


@pytest.mark.slow
def test_the_one_line_finds_what_the_reference_says() -> None:
    """+0.3 sd on alignment alone is found in most cases at n = 100; equal models are rarely told apart."""
    rng = np.random.default_rng(12)
    infos = [MATCH, metric("go", aspect="motion"), STEADY, LOOK]

    def better(shift: float) -> float:
        found = []
        for _ in range(12):
            content = rng.normal(0, np.sqrt(0.75), (4, 100))
            noise = rng.normal(0, 0.5, (2, 4, 100))
            noise[0, 0] += shift
            sides = [
                run(label, {info.id: content[j] + noise[k, j] for j, info in enumerate(infos)}, infos)
                for k, label in enumerate("ab")
            ]
            found.append(compare_scores(sides).standings[0].overall)
        return float(np.mean([one == "better" for one in found]))

    assert better(0.0) <= 0.1
    assert better(0.3) >= 0.6


def test_a_baseline_is_what_all_others_are_compared_with() -> None:
    rng = np.random.default_rng(13)
    runs = [run(label, {"m": rng.normal(i, 1, 40)}, [metric("m")]) for i, label in enumerate("abc")]
    found = compare_scores(runs, rules=Rules(baseline="b"))
    assert [(p.a, p.b, p.verdict) for p in found.pairs] == [("a", "b", "worse"), ("c", "b", "better")]
    assert answer(found) == "Against b: a: worse (other); c: better (other)."


def test_metrics_and_primary_narrow_the_family() -> None:
    rng = np.random.default_rng(14)
    infos = [metric(f"m{j}") for j in range(4)]
    runs = [run(label, {f"m{j}": rng.normal(size=30) for j in range(4)}, infos) for label in "ab"]
    narrow = compare_scores(runs, rules=Rules(metrics=("m0", "m1")))
    assert list(narrow.metrics) == ["m0", "m1"] and {p.family for p in narrow.pairs} == {2}
    chosen = compare_scores(runs, rules=Rules(primary=("m3",)))
    assert [p.verdict is None for p in chosen.pairs] == [True, True, True, False]
    for rules in (
        Rules(metrics=("m9",)), Rules(baseline="x"), Rules(margins={"m0": 0.0}), Rules(weights={"motion": 0})
    ):  # fmt: skip
        with pytest.raises(UsageError):
            compare_scores(runs, rules=rules)


def test_someone_elses_table_must_be_whole() -> None:
    with pytest.raises(UsageError, match="no column m"):
        RunScores.of_table("a", pd.DataFrame({"prompt_id": ["x"]}), [metric("m")])
    twice = pd.DataFrame({"prompt_id": ["x", "x"], "m": [1.0, 2.0]})
    with pytest.raises(UsageError, match="twice"):
        RunScores.of_table("a", twice, [metric("m")])
