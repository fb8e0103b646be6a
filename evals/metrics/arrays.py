"""Distribution metrics on feature arrays that somebody else extracted: what `t2v-evals distance` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import StatisticsError
from evals.metrics import distances
from evals.metrics.base import DistributionMetric
from evals.metrics.frechet import feature_sets

MAX_BYTES = 16 << 30
OWN = "own features"  # stands where an encoder's id does

Array = NDArray[Any]

STATISTICS: dict[str, Callable[[int], DistributionMetric]] = {
    "fvd": lambda ddof: distances.FrechetVideoDistance(OWN, ddof),
    "fvd_unbiased": lambda ddof: distances.UnbiasedFrechetVideoDistance(OWN, ddof),
    "kvd": lambda _: distances.KernelVideoDistance(OWN),
    "jedi": lambda _: distances.SecondMomentDistance(OWN),
    "mmd2": lambda _: distances.SecondMomentDistance(OWN),
    "precision": lambda _: distances.Precision(OWN),
    "recall": lambda _: distances.Recall(OWN),
    "density": lambda _: distances.Density(OWN),
    "coverage": lambda _: distances.Coverage(OWN),
    "memorization": lambda _: distances.Memorization(OWN),
}
"""By name, made with the `ddof` of covariances."""


def read(path: Path) -> Array:
    """An array (n, d) of an .npy file, never a pickled one. Raises `StatisticsError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StatisticsError(f"larger than {MAX_BYTES:,} bytes", path)
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise StatisticsError(f"is no readable array: {str(error).splitlines()[0]:.200}", path) from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "fiu":
        raise StatisticsError("holds no single array of numbers (n, d)", path)
    return found


def measure(generated: Array, real: Array, names: Sequence[str], ddof: int = 1) -> dict[str, Any]:
    """Statistics by name with a 95 % interval where one is valid, n on both sides, d, and warnings.

    Raises `MetricError` for arrays that don't fit each other.
    """
    feature_sets(generated, real, ddof)
    n, m = len(generated), len(real)
    prompts = ([f"a{i}" for i in range(n)], [f"b{i}" for i in range(m)])  # every row is independent
    found, warnings = [], []
    for name in names:
        value = STATISTICS[name](ddof).compute(generated, real, prompts)
        found.append({"name": name, "value": value.value, "low": value.low, "high": value.high})
        warnings += [f"{name}: {warning}" for warning in value.warnings]
    shape = {"n": n, "n_real": m, "d": int(generated.shape[1]), "ddof": ddof}
    return {"statistics": found, **shape, "warnings": warnings}
