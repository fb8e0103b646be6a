"""Statistics of means and paired differences, against scipy and against simulations with a known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evals.compare import statistics
from evals.compare.flips import holm, holm_levels, sign_flip, sign_flips
from evals.compare.paired import paired_difference
from evals.compare.statistics import Scores, mean_interval, mean_intervals
from evals.errors import UsageError

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]


def test_no_interval_under_20_prompts_or_where_nothing_varies() -> None:
    few = mean_interval(np.arange(19.0))
    assert (few.mean, few.low, few.high, few.n) == (9.0, None, None, 19)
    assert mean_interval(np.arange(20.0)).low is not None
    assert mean_interval(np.ones(30)).low is None


def test_one_value_that_is_not_zero_says_nothing_of_the_mean() -> None:
    """A resample without the value has no spread: the mean has no upper bound, unless the metric has one."""
    rare = np.array([1.0] + [0.0] * 23)
    assert mean_interval(rare, low=0.0).low is None
    bounded = mean_interval(rare, low=0.0, high=1.0)
    assert bounded.low is not None and bounded.low >= 0 and bounded.high == 1.0


def zeros(share: float) -> Draw:
    return lambda rng, n: (rng.random(n) > share) * rng.random(n)


MEANS: dict[str, tuple[Draw, float, float | None]] = {
    "normal": (lambda rng, n: rng.normal(1, 2, n), 1.0, None),
    "log-normal": (lambda rng, n: rng.lognormal(0, 1, n), float(np.exp(0.5)), None),
    "80 % zeros": (zeros(0.8), 0.1, 1.0),
    "95 % zeros": (zeros(0.95), 0.025, 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "n", "least"), [
    ("normal", 20, 0.93), ("normal", 60, 0.93), ("log-normal", 20, 0.88), ("log-normal", 50, 0.91),
    ("80 % zeros", 50, 0.94), ("95 % zeros", 50, 0.95), ("95 % zeros", 100, 0.95),
])  # fmt: skip
def test_intervals_of_means_cover(draw: str, n: int, least: float) -> None:
    """The reference figures: 91 % (log-normal, n = 20), and 97 to 99 % where few values are not zero."""
    make, truth, high = MEANS[draw]
    rng = np.random.default_rng(5)
    low = None if draw == "normal" else 0.0
    found = mean_intervals([Scores(make(rng, n), low=low, high=high) for _ in range(1500)], 1000)
    covered = [e.low <= truth <= (e.high or 0) for e in found if e.low is not None]
    assert np.mean(covered) >= least
    assert len(covered) >= 0.85 * len(found)


@pytest.mark.parametrize("successes", [0, 1, 12, 29, 30])
def test_rates_have_wilsons_interval(successes: int) -> None:
    x = np.array([1.0] * successes + [0.0] * (30 - successes))
    e = mean_interval(x, samples=30, binary=True)
    theirs = scipy.stats.binomtest(successes, 30).proportion_ci(method="wilson")
    assert (e.low, e.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_seeds_that_agree_are_not_more_data() -> None:
    rng = np.random.default_rng(0)
    alike = (rng.random(40) < 0.5).astype(float)  # three seeds of a prompt, always the same answer
    mixed = rng.binomial(3, 0.5, 40) / 3
    widths = []
    for x in (alike, mixed):
        e = mean_interval(x, samples=120, binary=True)
        assert e.low is not None and e.high is not None
        widths.append(e.high - e.low)
    single = scipy.stats.binomtest(int(alike.sum()), 40).proportion_ci(method="wilson")
    assert widths[0] == pytest.approx(single.high - single.low, abs=1e-9)
    assert widths[1] < 0.75 * widths[0]


def test_sign_flip_equals_scipy() -> None:
    x = np.random.default_rng(3).normal(0.4, 1, 11)
    theirs = scipy.stats.permutation_test(
        (x,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    mine = sign_flip(x)
    assert mine.p == pytest.approx(theirs.pvalue)
    assert mine.smallest == 2 / 2**11


def test_the_interval_is_the_set_of_means_that_are_not_rejected() -> None:
    """By hand: test every shifted set of differences, and see where the p crosses 0.05."""
    x = np.random.default_rng(4).lognormal(0, 1, 10) - 1
    found = sign_flip(x).interval(0.95)
    assert found is not None
    for bound, outwards in zip(found, (-1, 1), strict=True):
        step = 1e-6 * outwards
        assert sign_flip(x - (bound + step)).p <= 0.05 < sign_flip(x - (bound - step)).p


def test_sign_flip_of_nothing_is_1_and_of_all_one_way_the_smallest() -> None:
    assert sign_flip(np.zeros(12)).p == 1
    assert sign_flip(np.ones(12)).p == 2 / 2**12
    many = sign_flip(np.ones(60), flips=999)
    assert many.p == many.smallest == 2 / 1000


def test_sign_flip_sampled_agrees_with_exact() -> None:
    x = np.random.default_rng(7).normal(0.35, 1, 16)
    signs = 1.0 - 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = np.mean(np.abs(signs @ x) >= abs(x.sum()) - 1e-12)
    assert sign_flip(x).p == pytest.approx(exact, abs=0.01)


def test_columns_are_tested_as_if_alone_but_for_their_number_of_rows() -> None:
    x = np.random.default_rng(8).normal(0.2, 1, (30, 3))
    x[5:25, 1] = np.nan  # exact, from its ten
    together = sign_flips(x)
    assert [t.p for t in together if t] == pytest.approx(
        [sign_flip(x[:, 0]).p, sign_flip(x[~np.isnan(x[:, 1]), 1]).p, sign_flip(x[:, 2]).p]
    )
    assert sign_flips(np.full((4, 1), np.nan)) == [None]


@given(
    st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.1, 1.0, 3.0]), min_size=1, max_size=25),
    st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.9975]),
)
def test_test_and_interval_never_contradict_each_other(values: list[float], level: float) -> None:
    found = sign_flip(np.array(values), flips=1999)
    interval = found.interval(level)
    excludes = interval is not None and (interval[0] > 0 or interval[1] < 0)
    assert excludes == (found.p <= 1 - level + 1e-12)


def test_holm() -> None:
    """The worked example of Holm's method: .01, .04, .03, .005 of four."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm_levels([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2, 1 - 0.05 / 4]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_levels_decide_as_its_adjusted_p(p_values: list[float]) -> None:
    for p, adjusted, level in zip(p_values, holm(p_values), holm_levels(p_values), strict=True):
        if abs(adjusted - 0.05) > 1e-9:
            assert (adjusted <= 0.05) == (p <= 1 - level)


def test_equivalence_is_the_90_percent_interval_inside_the_margin() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        found = sign_flip(rng.normal(0, 1, 60), flips=1999)
        interval = found.interval(0.9)
        assert interval is not None
        for margin in (0.1, 0.2, 0.3):
            inside = -margin < interval[0] and interval[1] < margin
            assert (found.within(margin) <= 0.05) == inside


def test_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    n, sd = 40, 3.0
    shift = statistics.detectable(sd, n)
    assert shift is not None
    found = [scipy.stats.ttest_1samp(rng.normal(shift, sd, n), 0).pvalue < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert statistics.detectable(0.0, 9) is None
    assert statistics.prompts_needed(shift, sd) in (n, n + 1)


def test_paired_difference_of_two_arrays() -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(size=40)
    a = b + rng.normal(0.5, 0.5, 40)
    found = paired_difference(a, b)
    assert found.difference == pytest.approx((a - b).mean()) and found.n == 40 and found.p < 0.01
    assert found.low is not None and found.high is not None and 0 < found.low < 0.5 < found.high
    # Seeds of a prompt are one observation, in whatever order they come.
    order = rng.permutation(40)
    by_prompt = paired_difference(a[order], b[order], [int(i) // 4 for i in order])
    assert by_prompt.n == 10 and by_prompt.difference == pytest.approx((a - b).mean())
    a[3] = np.nan
    assert paired_difference(a, b).n == 39


def test_paired_difference_refuses_what_it_cannot_pair() -> None:
    for a, b, prompts, binary in (
        ([1.0, 2.0], [1.0], None, False),
        ([[1.0]], [[1.0]], None, False),
        ([1.0], [np.inf], None, False),
        ([np.nan], [1.0], None, False),
        ([0.5], [1.0], None, True),
        ([1.0, 2.0], [1.0, 2.0], ["p"], False),
    ):
        with pytest.raises(UsageError):
            paired_difference(a, b, prompts, binary)
