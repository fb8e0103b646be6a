"""Statistics of feature sets: against slow plain versions, known truths, and their own promises."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from evals import frechet_distance, kernel_distance
from evals.errors import MetricError
from evals.metrics.arrays import STATISTICS
from evals.metrics.frechet import frechet_distance_from_moments
from evals.metrics.kernel import kernel_equality, mmd2
from evals.metrics.moments import Moments
from evals.metrics.neighbours import copies, neighbours
from evals.metrics.unbiased import frechet_extrapolated, frechet_unbiased
from tests.conftest import Cli, examples

Matrix = NDArray[np.float64]
SHAPES = [(30, 40, 5), (7, 9, 20), (200, 150, 3), (12, 12, 12)]


def draw(seed: int, *shape: int) -> Matrix:
    return np.random.default_rng(seed).normal(size=shape)


# --- moments ---


@examples(60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 6))
def test_moments_of_parts_are_those_of_the_whole(seed: int, sizes: list[int], d: int) -> None:
    parts = [draw(seed + i, n, d) + 5 for i, n in enumerate(sizes)]
    total = Moments.of(parts[0])
    for part in parts[1:]:
        total = total + Moments.of(part)
    whole = np.concatenate(parts)
    assert total.n == len(whole) and np.allclose(total.mean, whole.mean(0), rtol=1e-12)
    if len(whole) > 1:
        assert np.allclose(total.covariance(), np.cov(whole.T).reshape(d, d), rtol=1e-9, atol=1e-12)
        assert np.allclose(total.covariance(0), np.cov(whole.T, ddof=0).reshape(d, d), rtol=1e-9, atol=1e-12)


def test_moments_keep_their_digits_far_from_zero() -> None:
    x = draw(0, 20_000, 3) + 1e4
    total = Moments.of(x[:50])
    for start in range(50, len(x), 50):
        total = total + Moments.of(x[start : start + 50])
    exact = np.cov((x.astype(np.longdouble) - 10_000).astype(np.float64).T)
    raw = (x.T @ x - len(x) * np.outer(x.mean(0), x.mean(0))) / (len(x) - 1)
    error, careless = (np.abs(c - exact).max() for c in (total.covariance(), raw))
    assert error < 1e-11 and careless > 100 * error


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_moments_refuse_what_has_none(bad: Matrix) -> None:
    with pytest.raises(MetricError):
        Moments.of(bad)
    with pytest.raises(MetricError, match="ddof"):
        Moments.of(np.ones((1, 2))).covariance()
    with pytest.raises(MetricError, match="dimensions"):
        _ = Moments.of(np.ones((2, 2))) + Moments.of(np.ones((2, 3)))


# --- neighbours ---


def plainly(x: Matrix, y: Matrix, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage, row by row."""

    def radius(rows: Matrix) -> Matrix:
        return np.array([np.sort(np.linalg.norm(rows - r, axis=1))[k] for r in rows])

    rx, ry = radius(x), radius(y)
    precision = np.mean([any(np.linalg.norm(p - q) <= r for q, r in zip(y, ry, strict=True)) for p in x])
    recall = np.mean([any(np.linalg.norm(q - p) <= r for p, r in zip(x, rx, strict=True)) for q in y])
    density = sum(np.linalg.norm(p - q) < r for p in x for q, r in zip(y, ry, strict=True)) / k / len(x)
    coverage = np.mean([min(np.linalg.norm(q - p) for p in x) < r for q, r in zip(y, ry, strict=True)])
    return float(precision), float(recall), float(density), float(coverage)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_equal_a_plain_version(n: int, m: int, d: int, k: int) -> None:
    x, y = draw(1, n, d), draw(2, m, d) * 1.2 + 0.3
    assert neighbours(x, y, k) == pytest.approx(plainly(x, y, k), abs=1e-12)
    assert neighbours(x.astype(np.float32), y.astype(np.float32), k) == pytest.approx(
        plainly(x.astype(np.float32).astype(float), y.astype(np.float32).astype(float), k), abs=1e-12
    )


def test_neighbours_across_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draw(3, 90, 4), draw(4, 70, 4)
    whole, near = neighbours(x, y), copies(x, y)
    monkeypatch.setattr("evals.metrics.neighbours.TILE", 16)
    assert neighbours(x, y) == whole
    parts = copies(x, y)
    assert np.array_equal(parts.nearest, near.nearest) and np.allclose(parts.distance, near.distance)


def test_far_apart_nothing_is_near_and_equal_sets_cover_each_other() -> None:
    x = draw(5, 200, 6)
    assert neighbours(x, x + 100) == (0, 0, 0, 0)
    same = neighbours(x, draw(6, 200, 6))
    assert min(same) > 0.6
    assert neighbours(x[:20], x).recall < neighbours(x, x[:20]).recall  # a set that lacks variety


def test_duplicates_lie_on_the_edge_of_a_ball_without_size() -> None:
    """Twice the same rows: the nearest other is at 0. Kynkäänniemi's balls hold their edge, Naeem's not."""
    x = np.repeat(draw(7, 30, 8) * 1e3, 2, axis=0)
    assert neighbours(x, x, 1) == (1, 1, 0, 0)


def test_memory_goes_by_tiles() -> None:
    x, y = (draw(8 + i, 6000, 16).astype(np.float32) for i in range(2))
    tracemalloc.start()
    neighbours(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20 < 6000 * 6000 * 8 / 3  # a whole matrix of distances has 288 MB


def test_copies_are_found() -> None:
    y = draw(9, 300, 10)
    x = np.concatenate([draw(10, 90, 10), y[[5, 7, 250]] + 1e-4])
    found = copies(x, y)
    assert list(found.nearest[-3:]) == [5, 7, 250] and (found.distance[-3:] < 1e-3).all()
    assert np.allclose(found.distance, cdist(x, y).min(1), rtol=1e-6)
    assert 3 / 93 <= found.share < 0.1 and found.closest > 0.1
    assert copies(draw(11, 300, 10), y).share < 0.05


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((6, 2)), np.zeros((6, 3)), "dimensions"),
        (np.full((6, 2), np.nan), np.zeros((6, 2)), "NaN"),
        (np.zeros((5, 2)), np.zeros((9, 2)), "too few"),
        (np.zeros(6), np.zeros((6, 2)), "n, d"),
    ],
)
def test_bad_neighbours(x: Matrix, y: Matrix, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        neighbours(x, y)


# --- the unbiased Fréchet distance ---


def test_the_jackknife_is_what_its_definition_says() -> None:
    x, y = draw(12, 30, 3), draw(13, 45, 3) + 0.4
    found = frechet_unbiased(x, y, blocks=5, seed=3)
    rng = np.random.default_rng(3)
    blocks = []
    for n in (0, len(x), len(y)):  # groups on both sides, of which there are none, are dealt first
        places = rng.permutation(n)
        if n:
            # Groups are dealt in the order of their names, as text.
            order = sorted(range(n), key=str)
            block = np.zeros(n, int)
            for place, i in enumerate(places):
                block[order[int(i)]] = place % 5
            blocks.append(block)
    less = np.array([frechet_distance(x[blocks[0] != j], y[blocks[1] != j]) for j in range(5)])
    raw = frechet_distance(x, y)
    assert found.raw == raw and found.blocks == 5
    assert found.value == pytest.approx(5 * raw - 4 * np.mean(less), rel=1e-9)
    assert found.standard_error == pytest.approx(
        np.sqrt(4 / 5 * np.sum((less - np.mean(less)) ** 2)), rel=1e-9
    )


def test_two_samples_of_one_distribution_are_near_0_where_the_plain_distance_is_not() -> None:
    values = [frechet_unbiased(draw(20 + i, 100, 20), draw(60 + i, 100, 20)) for i in range(20)]
    raw, value = np.mean([v.raw for v in values]), np.mean([v.value for v in values])
    assert raw > 1.5 and abs(value) < 0.1 * raw
    assert np.mean([v.bias for v in values]) == pytest.approx(raw - value)


def test_extrapolation_takes_off_half_as_published_and_nearly_all_from_both_sides() -> None:
    pairs = [(draw(100 + i, 150, 10), draw(200 + i, 150, 10)) for i in range(20)]
    raw = np.mean([frechet_distance(*p) for p in pairs])
    one = np.mean([frechet_extrapolated(*p) for p in pairs])
    both = np.mean([frechet_extrapolated(*p, shrink="both") for p in pairs])
    assert 0.3 * raw < one < 0.7 * raw and abs(both) < 0.2 * raw


def test_seeds_of_a_prompt_share_a_block_and_few_groups_are_refused() -> None:
    x, y = draw(14, 24, 2), draw(15, 24, 2)
    names = [f"p{i // 2}" for i in range(24)]
    assert frechet_unbiased(x, y, groups=(names, names)).blocks == 12
    with pytest.raises(MetricError, match="4 groups"):
        frechet_unbiased(x, y, groups=(["a", "b"] * 12, names))
    with pytest.raises(MetricError, match="one group name"):
        frechet_unbiased(x, y, groups=(names[1:], names))
    with pytest.raises(MetricError, match="20 rows"):
        frechet_extrapolated(x[:9], y)


# --- kernels ---


@pytest.mark.parametrize(("n", "m", "d"), [*SHAPES, (3, 4, 50)])
def test_mmd2_equals_a_brute_force_sum(n: int, m: int, d: int) -> None:
    x, y = draw(16, n, d), draw(17, m, d) + 0.2

    def mean(p: Matrix, q: Matrix) -> float:
        return float(np.mean([[float(a @ b / d) ** 2 for b in q] for a in p]))

    assert mmd2(x, y) == pytest.approx(100 * (mean(x, x) + mean(y, y) - 2 * mean(x, y)), rel=1e-9, abs=1e-9)
    assert mmd2(x, x) == pytest.approx(0, abs=1e-9)


def test_equality_is_rejected_as_often_as_promised_and_differences_are_found() -> None:
    equal = [kernel_equality(draw(i, 30, 3), draw(500 + i, 25, 3), permutations=99) for i in range(200)]
    assert 0.01 < np.mean(np.array(equal) <= 0.05) < 0.11
    assert abs(np.mean(equal) - 0.5) < 0.08
    assert kernel_equality(draw(1, 60, 3), draw(2, 60, 3) + 1, permutations=199) == pytest.approx(1 / 200)


def test_equality_with_prompts_changes_them_as_a_whole() -> None:
    """Prompts differ a lot; the two sets, made from the same ones, do not."""
    found = []
    for i in range(120):
        rng = np.random.default_rng(i)
        centre = np.repeat(rng.normal(0, 5, (12, 3)), 2, axis=0)
        names = [f"p{j // 2}" for j in range(24)]
        x, y = (centre + rng.normal(size=centre.shape) for _ in range(2))
        found.append(kernel_equality(x, y, (names, names), permutations=99, seed=i))
    assert 0.0 <= np.mean(np.array(found) <= 0.05) < 0.12 and abs(np.mean(found) - 0.5) < 0.1


# --- properties of all distances ---


@pytest.mark.parametrize(
    "distance",
    [
        frechet_distance,
        mmd2,
        lambda a, b: kernel_distance(a, b).value,
        lambda a, b: frechet_unbiased(a, b).raw,
    ],
)
@examples(25)
@given(st.integers(0, 2**32 - 1), st.integers(5, 30), st.integers(5, 30), st.integers(1, 8))
def test_distances_are_symmetric_and_blind_to_order_and_rotation(
    distance: Callable[[Matrix, Matrix], float], seed: int, n: int, m: int, d: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 1.5 + 0.3
    found = distance(x, y)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for a, b in ((y, x), (x[::-1], y[rng.permutation(m)]), (x @ turn, y @ turn)):
        assert distance(a, b) == pytest.approx(found, rel=1e-6, abs=1e-7)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.integers(5, 30), st.integers(1, 8), st.floats(-8, 8))
def test_a_shift_adds_its_squared_length_to_a_frechet_distance(seed: int, n: int, d: int, by: float) -> None:
    """A shift leaves the covariances alone. Kernel distances promise no such thing: they weigh
    higher moments, and may fall as a set is shifted."""
    x = np.random.default_rng(seed).normal(size=(n, d))
    wanted = pytest.approx(d * by**2, rel=1e-6, abs=1e-6)
    assert frechet_distance(x, x + by) == wanted
    assert frechet_unbiased(x, x + by).raw - frechet_unbiased(x, x).raw == wanted


@examples(25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 30), st.integers(1, 8))
def test_mmd2_is_never_negative_and_zero_for_a_set_and_itself(seed: int, n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 1.5 + 0.3
    assert mmd2(x, y) >= 0 and mmd2(x, x[rng.permutation(n)]) == pytest.approx(0, abs=1e-9)


def test_large_sets_far_apart_are_at_a_large_kernel_distance() -> None:
    """The truth for normal sets N(0, 1) and N(s, 1) in one dimension, of mmd2: 100 s⁴."""
    x = np.random.default_rng(0).normal(size=(4000, 1))
    x = (x - x.mean()) / x.std()
    for shift in (0.5, 2.0, 8.0):
        assert mmd2(x, x + shift) == pytest.approx(100 * shift**4, rel=1e-9)
    near, far = (kernel_distance(x[::2], x[1::2] + s).value for s in (0.5, 2.0))
    assert 0 < near < far


def kernel_truth(mean_x: Matrix, sd_x: Matrix, mean_y: Matrix, sd_y: Matrix) -> float:
    """The squared maximum mean discrepancy of two normal laws with independent dimensions, in closed form,
    for the kernel (x·y/d + 1)³. Raw moments of every dimension's product give cumulants, which add up."""

    def expected(m: Matrix, a: Matrix, n: Matrix, b: Matrix) -> float:
        # Of one dimension, x ~ N(m, a²) and y ~ N(n, b²): raw moments of xy, then cumulants, which add up.
        first = m * n
        second = (m**2 + a**2) * (n**2 + b**2)
        third = (m**3 + 3 * m * a**2) * (n**3 + 3 * n * b**2)
        k1, k2 = first.sum(), (second - first**2).sum()
        k3 = (third - 3 * first * second + 2 * first**3).sum()
        d = len(m)
        s1, s2, s3 = k1 / d, (k2 + k1**2) / d**2, (k3 + 3 * k2 * k1 + k1**3) / d**3
        return float(s3 + 3 * s2 + 3 * s1 + 1)

    within = expected(mean_x, sd_x, mean_x, sd_x) + expected(mean_y, sd_y, mean_y, sd_y)
    return within - 2 * expected(mean_x, sd_x, mean_y, sd_y)


def test_the_closed_form_equals_what_large_samples_say() -> None:
    rng, d = np.random.default_rng(3), 4
    mean, base, spread = np.full(d, 0.4), np.linspace(0.5, 1.2, d), np.linspace(1.3, 0.8, d)
    found = kernel_distance(rng.normal(size=(6000, d)) * base, mean + rng.normal(size=(6000, d)) * spread)
    assert abs(found.value - kernel_truth(np.zeros(d), base, mean, spread)) < 4 * found.standard_error


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("replicates", [200, pytest.param(1000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.05), (1.0, 1.3)])
def test_intervals_cover_the_truth(shift: float, scale: float, replicates: int) -> None:
    """N = 4d for the Fréchet distance and 256 for the kernel's. Bounds: three binomial standard errors."""
    d = 16
    margin = 3 * np.sqrt(0.05 * 0.95 / replicates)
    base, rng = np.linspace(0.3, 1.5, d), np.random.default_rng(1)
    mean, spread = np.zeros(d), np.ones(d)
    mean[0], spread[: d // 2] = shift, scale

    def pair(n: int) -> tuple[Matrix, Matrix]:
        return rng.normal(size=(n, d)) * base, mean + rng.normal(size=(n, d)) * base * spread

    truth = frechet_distance_from_moments(np.zeros(d), np.diag(base**2), mean, np.diag((base * spread) ** 2))
    bounds = np.array([frechet_unbiased(*pair(4 * d)).interval() for _ in range(replicates)])
    low, high = np.mean(truth < bounds[:, 0]), np.mean(truth > bounds[:, 1])
    said = f"shift {shift}, scale {scale}: covered"
    print(f"fvd_unbiased, {said} {1 - low - high:.3f}, truth below {low:.3f}, above {high:.3f}")
    assert 0.94 - margin <= 1 - low - high <= min(1.0, 0.97 + margin)
    exact = kernel_truth(np.zeros(d), base, mean, base * spread)
    found = [kernel_distance(*pair(256)) for _ in range(replicates)]
    low = np.mean([exact < v.value - 1.96 * v.standard_error for v in found])
    high = np.mean([exact > v.value + 1.96 * v.standard_error for v in found])
    print(f"kvd, {said} {1 - low - high:.3f}, truth below {low:.3f}, above {high:.3f}")
    assert 0.94 - margin <= 1 - low - high <= min(1.0, 0.97 + margin)


# --- arrays of others, on the command line ---


def test_two_arrays_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    x, y = draw(30, 60, 5), draw(31, 50, 5) + 0.5
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y.astype(np.float32))
    y = y.astype(np.float32).astype(float)
    every = [a for name in STATISTICS for a in ("--statistic", name)]
    done = cli("distance", tmp_path / "x.npy", tmp_path / "y.npy", *every, "--json")
    assert done.code == 0, done.err
    found = {row["name"]: row for row in json.loads(done.out)["statistics"]}
    assert found["fvd"]["value"] == pytest.approx(frechet_distance(x, y))
    unbiased = frechet_unbiased(x, y)
    assert found["fvd_unbiased"]["value"] == pytest.approx(unbiased.value)
    assert (found["fvd_unbiased"]["low"], found["fvd_unbiased"]["high"]) == pytest.approx(unbiased.interval())
    assert found["jedi"]["value"] == found["mmd2"]["value"] == pytest.approx(mmd2(x, y))
    assert found["coverage"]["value"] == pytest.approx(plainly(x, y, 5)[3])
    plain = cli("distance", tmp_path / "x.npy", tmp_path / "y.npy")
    assert plain.code == 0 and "kvd" in plain.out and "n = 60 generated, 50 real, d = 5" in plain.err


@pytest.mark.parametrize("content", [np.zeros(3), np.array([{"a": 1}], object), np.array([["a", "b"]]), None])
def test_odd_arrays_are_refused(cli: Cli, tmp_path: Path, content: Matrix | None) -> None:
    path = tmp_path / "x.npy"
    if content is None:
        path.write_bytes(b"\x93NUMPY and nothing")
    else:
        np.save(path, content, allow_pickle=True)
    done = cli("distance", path, path)
    assert done.code == 2 and "x.npy" in done.err and "Traceback" not in done.err
