"""The Fréchet distance between two sets of features.

For Gaussians, d² = |μ₁ − μ₂|² + Tr C₁ + Tr C₂ − 2 Tr √(C₁C₂) (Dowson & Landau 1982; FID: Heusel et al.
2017; FVD: Unterthiner et al. 2018). With A = (X − μ)/√(n − ddof) the last trace is the nuclear norm of
A Bᵀ: exact with fewer samples than dimensions, and never complex, unlike a matrix square root.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from evals.errors import MetricError

Matrix = NDArray[np.float64]

FEW = 2048


def frechet_distance(a: ArrayLike, b: ArrayLike, ddof: int = 1) -> float:
    """Squared Fréchet distance between Gaussians fitted to two feature sets, in float64.

    `a` (n, d) and `b` (m, d), n and m at least 2; `ddof` is taken off the sample count in the
    covariance (1: unbiased, as the original FVD; 0: StyleGAN-V). Never negative.

    Raises `MetricError` for other shapes, different d, too few rows, NaN or infinity.
    """
    x, y = feature_sets(a, b, ddof)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x = (x - mean_x) / np.sqrt(len(x) - ddof)
    y = (y - mean_y) / np.sqrt(len(y) - ddof)
    d = x.shape[1]
    if len(x) >= d and len(y) >= d:
        return frechet_distance_from_moments(mean_x, x.T @ x, mean_y, y.T @ y)
    trace = np.square(x).sum() + np.square(y).sum()
    nuclear = scipy.linalg.svdvals(_shrink(x) @ _shrink(y).T).sum()
    return _total(mean_x - mean_y, float(trace), float(nuclear))


def frechet_distance_from_moments(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """Squared Fréchet distance from means (d,) and covariances (d, d), in float64.

    The trace comes from the eigenvalues of the symmetric √C₁ C₂ √C₁, clipped at 0. Never negative.

    Raises `MetricError` for shapes that don't fit, NaN, infinity or an unsymmetric covariance.
    """
    mu_a, mu_b = np.asarray(mean_a, np.float64), np.asarray(mean_b, np.float64)
    cov_a, cov_b = np.asarray(covariance_a, np.float64), np.asarray(covariance_b, np.float64)
    d = mu_a.size
    if mu_a.shape != (d,) or mu_b.shape != (d,) or cov_a.shape != (d, d) or cov_b.shape != (d, d):
        shapes = [x.shape for x in (mu_a, cov_a, mu_b, cov_b)]
        raise MetricError(f"means are (d,) and covariances (d, d); got {shapes}")
    for name, array in (("mean", mu_a), ("mean", mu_b), ("covariance", cov_a), ("covariance", cov_b)):
        if not np.isfinite(array).all():
            raise MetricError(f"a {name} holds NaN or infinity")
    for cov in (cov_a, cov_b):
        if not np.allclose(cov, cov.T, rtol=1e-6, atol=1e-8 * max(1.0, float(np.abs(cov).max()))):
            raise MetricError("a covariance is not symmetric")
    values, vectors = scipy.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = root @ cov_b @ root
    squares = scipy.linalg.eigvalsh((product + product.T) / 2)
    nuclear = np.sqrt(np.clip(squares, 0, None)).sum()
    return _total(mu_a - mu_b, float(np.trace(cov_a) + np.trace(cov_b)), float(nuclear))


def feature_sets(a: ArrayLike, b: ArrayLike, ddof: int = 1) -> tuple[Matrix, Matrix]:
    """Two feature sets (n, d) and (m, d) in float64. Raises `MetricError` for anything else."""
    x, y = _features(a, "a", ddof), _features(b, "b", ddof)
    if x.shape[1] != y.shape[1]:
        raise MetricError(f"features have different dimensions: {x.shape[1]} and {y.shape[1]}")
    return x, y


def _features(value: ArrayLike, name: str, ddof: int) -> Matrix:
    features = np.asarray(value, np.float64)
    if features.ndim != 2 or features.shape[1] == 0:
        raise MetricError(f"features {name} are (n, d), not {features.shape}")
    if len(features) < 2 or len(features) <= ddof:
        raise MetricError(f"features {name} hold {len(features)} rows; a covariance needs at least 2")
    if not np.isfinite(features).all():
        raise MetricError(f"features {name} hold NaN or infinity")
    return features


def _shrink(x: Matrix) -> Matrix:
    """A matrix with the same Gram matrix in feature space and at most d rows (R of QR)."""
    if len(x) <= x.shape[1]:
        return x
    triangle: Any = scipy.linalg.qr(x, mode="r")[0]
    return np.asarray(triangle[: x.shape[1]], np.float64)


def _total(difference: Matrix, trace: float, nuclear: float) -> float:
    return max(0.0, float(difference @ difference) + trace - 2 * nuclear)
