"""Statistics against scipy and against simulations with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from evals.compare import statistics


def test_no_interval_under_20_prompts_or_where_nothing_varies() -> None:
    few = statistics.mean_interval(np.arange(19.0), seed=0)
    assert (few.mean, few.low, few.high, few.n) == (9.0, None, None, 19)
    assert statistics.mean_interval(np.arange(20.0), seed=0).low is not None
    assert statistics.mean_interval(np.ones(30), seed=0).low is None
    assert statistics.difference_interval(np.zeros(30), seed=0).low is None


def covered(draw: str, n: int, replicates: int) -> float:
    rng = np.random.default_rng(5)
    truth = {"normal": 1.0, "lognormal": float(np.exp(0.5))}[draw]
    hits = 0
    for i in range(replicates):
        x = rng.normal(1, 2, n) if draw == "normal" else rng.lognormal(0, 1, n)
        e = statistics.mean_interval(x, seed=i, resamples=600)
        assert e.low is not None and e.high is not None
        hits += e.low <= truth <= e.high
    return hits / replicates


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "n", "least"),
    [("normal", 20, 0.93), ("normal", 60, 0.93), ("lognormal", 20, 0.88), ("lognormal", 50, 0.91)],
)
def test_studentised_interval_covers(draw: str, n: int, least: float) -> None:
    """The reference figures are 91 % (n = 20) and 93.5 % (n = 50) for log-normal scores."""
    assert least <= covered(draw, n, 1500) <= 0.985


@pytest.mark.parametrize("successes", [0, 1, 12, 29, 30])
def test_rates_have_wilsons_interval(successes: int) -> None:
    x = np.array([1.0] * successes + [0.0] * (30 - successes))
    e = statistics.mean_interval(x, seed=0, samples=30, binary=True)
    theirs = scipy.stats.binomtest(successes, 30).proportion_ci(method="wilson")
    assert (e.low, e.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_seeds_that_agree_are_not_more_data() -> None:
    rng = np.random.default_rng(0)
    alike = (rng.random(40) < 0.5).astype(float)  # three seeds of a prompt, always the same answer
    mixed = rng.binomial(3, 0.5, 40) / 3
    widths = []
    for x in (alike, mixed):
        e = statistics.mean_interval(x, seed=0, samples=120, binary=True)
        assert e.low is not None and e.high is not None
        widths.append(e.high - e.low)
    single = scipy.stats.binomtest(int(alike.sum()), 40).proportion_ci(method="wilson")
    assert widths[0] == pytest.approx(single.high - single.low, abs=1e-9)
    assert widths[1] < 0.75 * widths[0]


def test_paired_rates_have_bonett_prices_interval() -> None:
    """Bonett & Price 2012: p̃₁₂ = (f₁₂ + 1)/(n + 2), and so on."""
    f12, f21, same = 9, 3, 28
    x = np.array([1.0] * f12 + [-1.0] * f21 + [0.0] * same)
    n = x.size
    p12, p21 = (f12 + 1) / (n + 2), (f21 + 1) / (n + 2)
    half = 1.959963984540054 * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    e = statistics.difference_interval(x, seed=0, binary=True)
    assert (e.low, e.high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))
    assert e.mean == pytest.approx(6 / 40)


def test_equal_rates_still_have_a_width() -> None:
    e = statistics.difference_interval(np.zeros(25), seed=0, binary=True)
    assert e.low is not None and e.high is not None and e.low < 0 < e.high


def test_sign_flip_equals_scipy() -> None:
    x = np.random.default_rng(3).normal(0.4, 1, 11)
    theirs = scipy.stats.permutation_test(
        (x,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    mine = statistics.sign_flip(x, seed=0)
    assert mine.p == pytest.approx(theirs.pvalue)
    assert mine.smallest == 2 / 2**11


def test_sign_flip_of_nothing_is_1_and_of_all_one_way_the_smallest() -> None:
    assert statistics.sign_flip(np.zeros(12), seed=0).p == 1
    assert statistics.sign_flip(np.ones(12), seed=0).p == 2 / 2**12
    many = statistics.sign_flip(np.ones(60), seed=0, flips=999)
    assert many.p == many.smallest == 1 / 1000


def test_sign_flip_sampled_agrees_with_exact() -> None:
    x = np.random.default_rng(7).normal(0.35, 1, 16)
    signs = 1.0 - 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = np.mean(np.abs(signs @ x) >= abs(x.sum()) - 1e-12)
    assert statistics.sign_flip(x, seed=1).p == pytest.approx(exact, abs=0.01)


def test_sign_flip_keeps_its_level() -> None:
    rng = np.random.default_rng(11)
    p = [statistics.sign_flip(rng.normal(size=12), seed=0).p for _ in range(600)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.08


def test_holm() -> None:
    """The worked example of Holm's method: .01, .04, .03, .005 of four."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    n, sd = 40, 3.0
    shift = statistics.detectable(rng.normal(0, sd, 100_000))
    assert shift is not None
    shift *= np.sqrt(100_000 / n)
    found = [scipy.stats.ttest_1samp(rng.normal(shift, sd, n), 0).pvalue < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert statistics.detectable(np.zeros(9)) is None
