"""The kernel distance against a slow plain version, another library, toy sets and its own promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchmetrics.image.kid import poly_mmd

from evals import kernel_distance, matched_kernel_distances
from evals.errors import MetricError
from evals.metrics.distances import KernelVideoDistance

Matrix = NDArray[np.float64]


def plainly(a: Matrix, b: Matrix, ga: list[str], gb: list[str]) -> float:
    """The mean of the kernel over pairs of different groups, one pair at a time."""

    def mean(x: Matrix, y: Matrix, gx: list[str], gy: list[str]) -> float:
        values = [
            (float(p @ q) / len(p) + 1) ** 3
            for (p, i), (q, j) in itertools.product(zip(x, gx, strict=True), zip(y, gy, strict=True))
            if i != j
        ]
        return sum(values) / len(values)

    return mean(a, a, ga, ga) + mean(b, b, gb, gb) - 2 * mean(a, b, ga, gb)


def test_it_equals_a_plain_version_and_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(17, 5)), rng.normal(0.3, 1.2, size=(23, 5))
    lone = [f"a{i}" for i in range(17)], [f"b{i}" for i in range(23)]
    found = kernel_distance(a, b).value
    assert found == pytest.approx(plainly(a, b, *lone), rel=1e-12)
    same = b[:17]
    theirs = poly_mmd(torch.from_numpy(a), torch.from_numpy(same), degree=3, gamma=None, coef=1.0)
    assert kernel_distance(a, same).value == pytest.approx(float(theirs), rel=1e-10)
    grouped = [f"g{i % 6}" for i in range(17)], [f"g{i % 7}" for i in range(23)]
    assert kernel_distance(a, b, grouped).value == pytest.approx(plainly(a, b, *grouped), rel=1e-12)


def test_matched_by_group_it_is_the_plain_distance_of_every_group() -> None:
    rng = np.random.default_rng(4)
    groups = [f"g{i % 4}" for i in range(13)], [*(f"g{i % 3}" for i in range(9)), "g3", "lone"]
    a, b = rng.normal(size=(13, 5)), rng.normal(0.3, 1.2, size=(11, 5))
    found = matched_kernel_distances(a, b, groups)
    assert list(found) == ["g0", "g1", "g2"]  # of g3 one row is not enough
    for name, value in found.items():
        x, y = (m[[g == name for g in side]] for m, side in zip((a, b), groups, strict=True))
        lone = [f"a{i}" for i in range(len(x))], [f"b{i}" for i in range(len(y))]
        assert value == pytest.approx(plainly(x, y, *lone), rel=1e-12)
    with pytest.raises(MetricError, match="two rows of one group"):
        matched_kernel_distances(a[:2], b, (["g0", "g1"], groups[1]))
    with pytest.raises(MetricError, match="one group name"):
        matched_kernel_distances(a, b, (["g0"], groups[1]))


def test_matched_it_sees_what_cancels_over_groups() -> None:
    """Every group moves, each its own way: the sets as a whole stay as they were."""
    rng = np.random.default_rng(5)
    groups = [f"{i}" for i in range(40) for _ in range(4)]
    centre = np.repeat(rng.normal(0, 3, (40, 6)), 4, axis=0)
    order = np.repeat(np.roll(np.arange(40), 1), 4) * 4
    a, b = (centre + rng.normal(0, 0.1, centre.shape) for _ in range(2))
    swapped = centre[order] + rng.normal(0, 0.1, centre.shape)
    whole = kernel_distance(swapped, b, (groups, groups))
    assert abs(whole.value) < 3 * whole.standard_error
    same = np.array(list(matched_kernel_distances(a, b, (groups, groups)).values()))
    apart = np.array(list(matched_kernel_distances(swapped, b, (groups, groups)).values()))
    assert abs(same.mean()) < 0.1 * apart.mean() and (apart > 0).mean() > 0.95


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_two_points_have_a_known_distance(c: float) -> None:
    a, b = np.zeros((4, 3)), np.full((6, 3), c)
    found = kernel_distance(a, b)
    assert found.value == pytest.approx(1 + (c * c + 1) ** 3 - 2, rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-9)


def test_the_standard_error_is_that_of_leaving_groups_out() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(12, 4)), rng.normal(0.5, 1, size=(18, 4))
    ga, gb = [f"{i % 6}" for i in range(12)], [f"{i % 6}" for i in range(18)]
    whole = kernel_distance(a, b, (ga, gb))
    left = []
    for name in sorted(set(ga)):
        keep_a, keep_b = (
            [i for i, g in enumerate(ga) if g != name],
            [i for i, g in enumerate(gb) if g != name],
        )
        names = [ga[i] for i in keep_a], [gb[i] for i in keep_b]
        left.append(kernel_distance(a[keep_a], b[keep_b], names).value)
    error = np.sqrt(5 / 6 * np.square(np.array(left) - whole.value).sum())
    assert whole.standard_error == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_sets_from_the_same_prompts_are_measured_without_bias(shift: float) -> None:
    """Each prompt has a mean of its own. Leaving pairs of one prompt out, equal generators are 0 on average;
    the plain estimate is not. Intervals hold the expectation at least nine times in ten."""
    rng = np.random.default_rng(5)
    values, plain, inside = [], [], []
    names = [str(i) for i in range(30)], [str(i) for i in range(30) for _ in range(2)]
    drawn = []
    for _ in range(300):
        prompts = rng.normal(size=(30, 12))
        a = prompts + shift + 0.7 * rng.normal(size=(30, 12))
        b = np.repeat(prompts, 2, 0) + 0.7 * rng.normal(size=(60, 12))
        found = kernel_distance(a, b, names)
        values.append(found.value)
        drawn.append(found)
        plain.append(kernel_distance(a, b).value)
    error = np.std(values) / np.sqrt(len(values))
    expected = float(np.mean(values)) if shift else 0.0
    inside = [abs(f.value - expected) < 1.96 * f.standard_error for f in drawn]
    assert np.mean(inside) > 0.9
    if not shift:
        assert abs(np.mean(values)) < 4 * error
        assert np.mean(plain) < -20 * error


@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.integers(1, 5))
def test_it_does_not_depend_on_order_and_is_symmetric(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)), rng.normal(size=(n + 2, d))
    forth, back = kernel_distance(a, b), kernel_distance(b[::-1], a[::-1])
    assert forth.value == pytest.approx(back.value, rel=1e-9, abs=1e-9)
    assert forth.standard_error == pytest.approx(back.standard_error, rel=1e-6, abs=1e-9)


def test_what_cannot_be_measured_is_an_error() -> None:
    a = np.ones((3, 2))
    with pytest.raises(MetricError, match="at least two groups on both sides"):
        kernel_distance(a, a, (["p"] * 3, ["p"] * 3))
    with pytest.raises(MetricError, match="one group name for every row"):
        kernel_distance(a, a, (["p"], ["q"] * 3))
    with pytest.raises(MetricError, match="different dimensions"):
        kernel_distance(a, np.ones((3, 4)))
    metric = KernelVideoDistance("embedded")
    found = metric.compute(a[:2], a[:2] + 1, (["p", "q"], ["p", "q"]))
    assert found.low is None and "no interval" in found.warnings[0]
