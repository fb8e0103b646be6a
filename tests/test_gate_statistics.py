"""The statistics under the gate: two clusters, thresholds, plans, changes of level, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from benchmarks import gate as simulation
from evals.gate.bistable import CRITICAL, bistability, dip, sarle
from evals.gate.calibrate import Population, expected, rate, separate, threshold_of
from evals.gate.changes import change_points, noise_of_means
from evals.gate.fidelity import allowed, is_beyond
from evals.gate.margins import SMALLEST, TIERS, smallest_for, smallest_usual
from evals.gate.plan import chance_of_regression, fewest_prompts, smallest_found
from evals.gate.records import Bistability
from evals.metrics import create, info
from evals.metrics.fidelity import PairMetric
from evals.pairing import PairScore
from evals.records import Need, Normalization, Spec

# --- two clusters ---

HEIGHTS = [0.1, 0.2, 0.4, 0.4, 0.5, 0.5, 0.6, 1.9, 2.0, 2.1, 2.1, 2.3, 2.4]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Computed with the package diptest 0.12.0 (an implementation of its own, after AS 217).
        ([1, 1, 1, 1, 9, 9, 9, 9], 0.25),
        (HEIGHTS, 0.16666666666666666),
        ([1, 2, 4, 8, 16, 32, 64, 128, 256], 0.05555555555555555),
        ([0, 1, 1.5, 7, 7.5, 8, 20, 21, 21.5, 22, 40], 0.15584415584415584),
    ],
)
def test_the_dip_equals_another_implementation(values: list[float], expected: float) -> None:
    assert dip(np.array(values, np.float64)) == pytest.approx(expected, abs=1e-12)


def test_the_dip_is_the_nearest_unimodal_function() -> None:
    """By linear programming: for every place of the mode the least band that a convex, then concave function
    fits into."""
    rng = np.random.default_rng(3)
    for n in (5, 8, 11):
        x = np.sort(rng.random(n))
        assert dip(x) == pytest.approx(slow_dip(x), abs=1e-7)


def slow_dip(x: np.ndarray) -> float:
    """Values of the function before and after every point are unknowns; the mode lies at a point."""
    n = len(x)
    best = np.inf
    for mode in range(n):
        # Unknowns: f before each point (n), f after it (n), d. Equal but at the mode, where it may jump.
        rows: list[np.ndarray] = []
        bounds: list[float] = []

        def at_most(
            terms: dict[int, float], bound: float, rows: list[np.ndarray] = rows,
            bounds: list[float] = bounds,
        ) -> None:  # fmt: skip
            row = np.zeros(2 * n + 1)
            for place, factor in terms.items():
                row[place] += factor
            rows.append(row)
            bounds.append(bound)

        for i in range(n):
            low, high = i / n, (i + 1) / n
            at_most({i: 1, 2 * n: -1}, low)  # before the step
            at_most({i: -1, 2 * n: -1}, -low)
            at_most({n + i: 1, 2 * n: -1}, high)
            at_most({n + i: -1, 2 * n: -1}, -high)
            at_most({i: 1, n + i: -1}, 0)
            if i != mode:
                at_most({n + i: 1, i: -1}, 0)
        for i in range(n - 1):
            at_most({n + i: 1, i + 1: -1}, 0)  # it rises
        for i in range(n - 2):
            a, b = x[i + 1] - x[i], x[i + 2] - x[i + 1]
            left, right = (n + i, i + 1), (n + i + 1, i + 2)
            slope = {left[1]: b, left[0]: -b, right[1]: -a, right[0]: a}
            if i + 1 < mode or i + 2 == mode:
                at_most(slope, 0)  # convex: slopes rise
            if i + 1 > mode or i == mode:
                at_most({k: -v for k, v in slope.items()}, 0)
        cost = np.zeros(2 * n + 1)
        cost[-1] = 1
        found = scipy.optimize.linprog(cost, A_ub=np.array(rows), b_ub=bounds, bounds=[(0, 1)] * (2 * n + 1))
        best = min(best, float(found.fun))
    return best


def test_one_and_two_clusters() -> None:
    rng = np.random.default_rng(5)
    assert not bistability(rng.normal(size=60)).bistable
    assert not bistability(rng.exponential(size=60)).bistable
    two = bistability(np.r_[rng.normal(0.958, 0.002, 30), rng.normal(0.986, 0.002, 30)])
    assert two.bistable and two.low == pytest.approx(0.958, abs=1e-3)
    assert two.high == pytest.approx(0.986, abs=1e-3)
    for few in ([1.0] * 20, [1.0, 2.0, 1.0], []):
        assert bistability(few) == Bistability(coefficient=0, dip=0, limit=1, bistable=False)


def test_false_alarms_of_two_clusters() -> None:
    """Uniform values, the hardest that have one mode: the dip alone rejects 5 %."""
    rng = np.random.default_rng(6)
    limit = CRITICAL[50] / 50**0.5
    rejected = np.mean([dip(np.sort(rng.random(50))) > limit for _ in range(600)])
    assert 0.02 < rejected < 0.08


def test_sarles_coefficient() -> None:
    """5/9 for a uniform distribution, 1/3 for a normal one, 1 for two equal points."""
    rng = np.random.default_rng(7)
    assert sarle(rng.random(200_000)) == pytest.approx(5 / 9, abs=0.003)
    assert sarle(rng.normal(size=200_000)) == pytest.approx(1 / 3, abs=0.005)
    assert sarle(np.repeat([0.0, 1.0], 50_000)) == pytest.approx(1, abs=1e-3)


# --- thresholds ---


def population(values: dict[str, list[float]], frames: int = 4) -> Population:
    curves = {p: [np.full(frames, abs(v)) for v in vs] for p, vs in values.items()}
    return Population(values, curves)


def test_a_threshold_lies_half_way() -> None:
    same = population({f"p{i}": [40.0 + i, 45.0] for i in range(10)})
    bad = population({f"p{i}": [30.0 - i] for i in range(10)})
    assert threshold_of(same, bad) == (35.0, True)
    assert not threshold_of(bad, same)[1]  # the wrong way round: what is bad is nearer than repeats are
    assert not threshold_of(same, population({f"p{i}": [41.0 + i] for i in range(10)}))[1]


def test_one_prompt_in_twenty_may_be_wrong() -> None:
    same = population({f"p{i}": [40.0] for i in range(40)})
    bad = population({f"p{i}": [30.0 if i > 1 else 50.0] for i in range(40)})
    assert threshold_of(same, bad) == (35.0, True)
    worse = population({f"p{i}": [30.0 if i > 2 else 50.0] for i in range(40)})
    assert not threshold_of(same, worse)[1]


def test_what_a_metric_finds_and_what_not() -> None:
    metric = create("fidelity_psnr")
    assert isinstance(metric, PairMetric)
    about = info("fidelity_psnr", metric, {Need("pair", "pixels"): Spec(name="x")}, Normalization())
    same = population({f"p{i}": [50.0] for i in range(20)})
    kinds = {"far": population({f"p{i}": [20.0] for i in range(20)}),
             "near": population({f"p{i}": [40.0] for i in range(20)}),
             "nothing": population({f"p{i}": [50.0] for i in range(20)})}  # fmt: skip
    found = separate("fidelity_psnr", about, metric, same, kinds)
    assert found.usable and found.threshold == 45.0  # of the mildest kind that it finds
    assert {k.kind: k.separated for k in found.kinds} == {"far": True, "near": True, "nothing": False}
    assert (found.false_alarms.count, found.false_alarms.n) == (0, 20)
    assert found.by_length == {1: True, 2: True, 4: True}
    assert is_beyond(PairScore("ok", 44.9), found) and not is_beyond(PairScore("ok", 45.1), found)
    assert is_beyond(PairScore("failed"), found) and not is_beyond(PairScore("skipped"), found)
    none = separate("fidelity_psnr", about, metric, same, {"nothing": kinds["nothing"]})
    assert not none.usable and none.threshold is None and none.message


def test_exact_intervals_of_rates() -> None:
    """Clopper and Pearson's, as scipy computes them by another way."""
    for count, n in ((0, 20), (3, 20), (20, 20), (1, 7)):
        theirs = scipy.stats.binomtest(count, n).proportion_ci(0.95, "exact")
        mine = rate(count, n)
        assert [mine.low, mine.high] == pytest.approx([theirs.low, theirs.high])


def test_repeats_close_to_the_threshold_explain_some() -> None:
    """None of 25 prompts was beyond it, but one in twenty of the next repeat may be."""
    rng = np.random.default_rng(12)
    usual = float(scipy.stats.norm.cdf(-3))
    assert expected(rng.normal(40, 1, 4000), 37.0) == pytest.approx(usual, rel=0.2)
    few = [expected(rng.normal(40, 1, 25), 37.0) for _ in range(300)]
    assert np.mean(few) > 1.5 * usual  # few prompts say less
    assert expected(np.full(25, 100.0), 70.0) == 0.0 and expected(np.ones(25), None) == 0.0


def test_how_many_prompts_repeats_explain() -> None:
    metric = create("fidelity_psnr")
    assert isinstance(metric, PairMetric)
    about = info("fidelity_psnr", metric, {Need("pair", "pixels"): Spec(name="x")}, Normalization())
    same = {f"p{i}": [50.0] for i in range(38)} | {"q0": [30.0], "q1": [30.0]}
    bad = {f"p{i}": [40.0] for i in range(40)}
    found = separate("fidelity_psnr", about, metric, population(same), {"bad": population(bad)})
    assert found.false_alarms.value == 0.05
    k = allowed(found, 100, 1)
    assert scipy.stats.binom.sf(k, 100, 0.05) <= 0.05 < scipy.stats.binom.sf(k - 1, 100, 0.05)
    assert allowed(found, 100, 3) > k


# --- plans ---


def test_the_plan_predicts_by_students_t() -> None:
    """Against 4,000 draws of normal differences, tested one by one."""
    rng = np.random.default_rng(8)
    n, margin, noise, metrics = 50, 0.35, 1.0, 10
    for drop in (0.3, 0.5, 0.8):
        d = rng.normal(-drop, noise, (4000, n))
        t = d.mean(1) / (d.std(1, ddof=1) / n**0.5)
        worse = scipy.stats.t.cdf(t, n - 1) <= 0.04 / metrics
        within = scipy.stats.t.sf(t + margin / (d.std(1, ddof=1) / n**0.5), n - 1) <= 0.05
        seen = float((worse & ~within).mean())
        assert chance_of_regression(drop, noise, margin, n, metrics) == pytest.approx(seen, abs=0.03)


def test_the_smallest_regression_that_is_found() -> None:
    for n in (25, 100):
        found = smallest_found(1.0, 0.2, n, 10)
        assert found is not None
        assert chance_of_regression(found, 1.0, 0.2, n, 10) == pytest.approx(0.8, abs=1e-6)
    assert smallest_found(1.0, 0.2, 5, 10) is None  # 2⁻⁵ is above .04/10
    assert smallest_found(0.0, 0.2, 50, 10) == 0.2


def test_the_fewest_prompts() -> None:
    assert fewest_prompts(0.0, 0.0) == 1
    assert fewest_prompts(0.0, 0.5) == 5  # 1 − 0.5⁵ > 0.95
    n = fewest_prompts(0.05, 0.2)
    assert n is not None
    most = scipy.stats.binom.ppf(0.95, n, 0.05)
    assert scipy.stats.binom.sf(most, n, 0.8) >= 0.95 > scipy.stats.binom.sf(most, n - 1, 0.8) - 0.2


def test_usual_margins() -> None:
    for (n, s), f in SMALLEST.items():
        assert smallest_usual(n, s) == pytest.approx(f)
    assert SMALLEST[100, 1] < smallest_usual(70, 1) < SMALLEST[50, 1] < smallest_usual(24, 1)
    for n, s, f in TIERS.values():
        assert smallest_usual(n, s) <= f


def test_a_workable_margin_lets_an_unchanged_model_pass() -> None:
    rng = np.random.default_rng(9)
    margin = smallest_for(1.0, 100, 5)
    d = rng.normal(0, 1, (3000, 100, 5))
    low = d.mean(1) - scipy.stats.t.ppf(0.95, 99) * d.std(1, ddof=1) / 10
    assert float((low > -margin).all(1).mean()) == pytest.approx(0.8, abs=0.03)


# --- changes of level ---


def test_a_change_is_found_where_it_is() -> None:
    rng = np.random.default_rng(10)
    series = rng.normal(0, 1, 30) + np.where(np.arange(30) >= 17, 5.0, 0.0)
    assert change_points(series, 1.0) == [17]
    assert change_points(np.r_[np.zeros(5), np.ones(5)], 0.0) == [5]
    assert change_points(np.ones(10), 0.0) == [] and change_points(np.array([1.0, 2.0]), 0.1) == []


def test_noise_of_means_leaves_changes_out() -> None:
    rng = np.random.default_rng(11)
    table = rng.normal(size=(200, 1)) + rng.normal(0, 0.5, (200, 12))
    table[:, 6:] += 3.0 * rng.normal(1, 0.5, (200, 1))
    assert noise_of_means(table) == pytest.approx(0.5 / 200**0.5, rel=0.15)


# --- how often the gate errs ---


def test_error_rates_shortly() -> None:
    """Few replicates of one design; `slow` repeats it at length. A rate of 5 % exceeds 13 of 120 by chance
    one time in 200, and the seed is fixed."""
    unchanged = simulation.simulate(50, 2, 0.5, 120)
    assert unchanged.share("regression") <= 13 / 120
    once = simulation.simulate(50, 2, 0.5, 120, drop=1.0)
    assert once.share("pass") <= 13 / 120
    twice = simulation.simulate(50, 2, 0.5, 120, drop=2.0)
    assert twice.share("pass") == 0 and twice.share("regression") > 0.7


@pytest.mark.nightly
@pytest.mark.timeout(5400)
@pytest.mark.parametrize(("prompts", "seeds"), simulation.DESIGNS)
def test_error_rates(prompts: int, seeds: int) -> None:
    """2,000 replicates of every design; a true rate of 5 % exceeds 6.2 % one time in 150."""
    f = simulation.fraction_for(prompts, seeds)
    assert simulation.simulate(prompts, seeds, f, 2000).share("regression") <= 0.062
    assert simulation.simulate(prompts, seeds, f, 2000, drop=1.0).share("pass") <= 0.062
    assert simulation.simulate(prompts, seeds, f, 2000, drop=1.0, rare=True).share("pass") <= 0.062
    twice = simulation.simulate(prompts, seeds, f, 2000, drop=2.0)
    assert twice.share("regression") == pytest.approx(float(np.mean(twice.predicted)), abs=0.03)


@pytest.mark.nightly
@pytest.mark.timeout(5400)
def test_hundred_looks_at_an_unchanged_model() -> None:
    assert simulation.looks(100, 400, spent=True) <= 0.08
    assert simulation.false_changes(50, 300) <= 0.08
