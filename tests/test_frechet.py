"""The Fréchet distance: published values, a textbook square root, properties, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evals.errors import MetricError
from evals.metrics.distances import FrechetVideoDistance
from evals.metrics.frechet import frechet_distance, frechet_distance_from_moments
from evals.records import Need
from tests.conftest import examples

Matrix = NDArray[np.float64]

GOLDEN = [
    ("i3d_ucf101_2048_res128_len16", "i3d_ucf101_full_res128_len16", 29.96535369),
    ("i3d_kinetics_2048_res128_len16", "i3d_kinetics_full_res128_len16", 43.73380624),
    ("i3d_ucf101_full_res128_len16", "i3d_ucf101_full_res256_len16", 42.13617911),
]


@pytest.mark.parametrize(("a", "b", "expected"), GOLDEN)
def test_published_statistics(assets: object, a: str, b: str, expected: float) -> None:
    from tests.conftest import ASSETS

    moments = []
    for name in (a, b):
        with np.load(ASSETS / "stats" / f"{name}.npz", allow_pickle=False) as file:
            moments += [file["mean"], file["covariance_ddof0"]]
    found = frechet_distance_from_moments(*moments)
    assert found == pytest.approx(expected, rel=1e-6)
    assert frechet_distance_from_moments(*moments[2:], *moments[:2]) == pytest.approx(expected, rel=1e-6)


def textbook(a: Matrix, b: Matrix, ddof: int) -> float:
    """The formula as papers write it, with a matrix square root."""
    ca, cb = np.cov(a, rowvar=False, ddof=ddof), np.cov(b, rowvar=False, ddof=ddof)
    root = scipy.linalg.sqrtm(np.atleast_2d(ca) @ np.atleast_2d(cb))
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(np.atleast_2d(ca + cb)) - 2 * np.trace(root).real)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "m", "d"), [(50, 60, 8), (200, 40, 20), (25, 300, 12), (90, 90, 1)])
def test_equals_a_textbook_square_root(n: int, m: int, d: int, ddof: int) -> None:
    rng = np.random.default_rng(n + d)
    a, b = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng.normal(0.3, 1.5, size=(m, d))
    assert frechet_distance(a, b, ddof) == pytest.approx(textbook(a, b, ddof), rel=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(5, 7, 40), (20, 100, 30), (100, 20, 30), (29, 30, 30), (2, 2, 3)])
def test_is_exact_with_fewer_samples_than_dimensions(n: int, m: int, d: int) -> None:
    """Rotated so that all samples lie in the first coordinates, the same data have full-rank covariances
    there: an independent way to the same number, by moments in the small space."""
    rng = np.random.default_rng(d)
    a, b = rng.normal(size=(n, d)), rng.normal(1, 2, size=(m, d))
    basis = np.linalg.qr(np.concatenate([a - a.mean(0), b - b.mean(0), (a.mean(0) - b.mean(0))[None]]).T)[0]
    small = [x @ basis for x in (a, b)]
    moments = [y for x in small for y in (x.mean(0), np.cov(x, rowvar=False))]
    assert frechet_distance(a, b) == pytest.approx(frechet_distance_from_moments(*moments), rel=1e-6)


def test_known_answers() -> None:
    mean, identity = np.zeros(3), np.eye(3)
    assert frechet_distance_from_moments(mean, identity, mean + 2, identity) == pytest.approx(12)
    assert frechet_distance_from_moments(mean, identity, mean, 4 * identity) == pytest.approx(3)
    a = np.array([[0.0], [2.0]])
    assert frechet_distance(a, a + 3) == pytest.approx(9)
    assert frechet_distance(a, 2 * a, ddof=0) == pytest.approx(2)  # (1 - 2)² for the means, (1 - 2)² for σ
    assert frechet_distance(a, 2 * a, ddof=1) == pytest.approx(1 + (np.sqrt(2) - np.sqrt(8)) ** 2)


def test_constant_features_and_duplicates() -> None:
    constant = np.ones((6, 4))
    assert frechet_distance(constant, constant) == 0
    assert frechet_distance(constant, constant + 1) == pytest.approx(4)
    rows = np.random.default_rng(0).normal(size=(10, 4))
    doubled = np.concatenate([rows, rows])
    assert frechet_distance(rows, doubled, ddof=0) == pytest.approx(0, abs=1e-9)


shapes = st.tuples(st.integers(2, 30), st.integers(2, 30), st.integers(1, 25), st.integers(0, 10_000))


@examples(80)
@given(shapes)
def test_properties(shape: tuple[int, int, int, int]) -> None:
    n, m, d, seed = shape
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)) * rng.uniform(0.1, 10), rng.normal(rng.normal(), 1, size=(m, d))
    scale = float(np.square(a - a.mean(0)).sum() / (n - 1) + np.square(b - b.mean(0)).sum() / (m - 1)) + 1
    found = frechet_distance(a, b)
    assert found >= 0 and np.isfinite(found)
    assert frechet_distance(b, a) == pytest.approx(found, abs=1e-6 * scale)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6 * scale)
    assert frechet_distance(rng.permutation(a), b) == pytest.approx(found, abs=1e-6 * scale)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(found, abs=1e-6 * scale)
    apart = np.zeros(d)
    apart[0] = 1000.0
    assert frechet_distance(a, b + apart) > frechet_distance(a, b)
    assert frechet_distance(a.astype(np.float32), b) == pytest.approx(found, abs=1e-3 * scale)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "at least 2"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "different dimensions: 3 and 4"),
        (np.zeros(5), np.zeros((5, 1)), r"are \(n, d\)"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "NaN"),
        (np.zeros((5, 3)), np.full((5, 3), np.inf), "NaN or infinity"),
    ],
)
def test_refuses_features(a: Matrix, b: Matrix, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        frechet_distance(a, b)


def test_refuses_moments() -> None:
    mean, cov = np.zeros(2), np.eye(2)
    for moments, message in [
        ((mean, cov, np.zeros(3), np.eye(3)), "covariances"),
        ((mean, np.array([[1.0, 0.5], [0.0, 1.0]]), mean, cov), "not symmetric"),
        ((mean, cov * np.nan, mean, cov), "NaN"),
    ]:
        with pytest.raises(MetricError, match=message):
            frechet_distance_from_moments(*moments)


def test_fvd_warns_of_few_samples() -> None:
    metric = FrechetVideoDistance("any/thing")
    few = metric.compute(np.random.default_rng(0).normal(size=(18, 4)), np.zeros((20, 4)), ([], []))
    assert (few.n, few.n_reference) == (18, 20) and "far too few" in few.warnings[0]
    assert metric.compute(np.zeros((2048, 2)), np.zeros((2048, 2)), ([], [])).warnings == ()
    frames = np.arange(6.0).reshape(3, 1, 2)
    assert np.array_equal(metric.pool({Need("encoder", "any/thing"): {"features": frames}}), [2.0, 3.0])
