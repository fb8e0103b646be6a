"""Statistics of feature arrays that somebody else extracted: what `t2v-evals distance` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import StatisticsError
from evals.metrics.distances import FEW
from evals.metrics.frechet import frechet_distance
from evals.metrics.kernel import kernel_distance, mmd2
from evals.metrics.neighbours import copies, neighbours
from evals.metrics.unbiased import frechet_unbiased

MAX_BYTES = 16 << 30
Z95 = 1.959964

Array = NDArray[Any]


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
    n, m, d = len(generated), len(real), generated.shape[1]
    rows, warnings = [], []
    near = None
    for name in names:
        low: float | None = None
        high: float | None = None
        if name == "fvd":
            value = frechet_distance(generated, real, ddof)
            if min(n, m) < FEW:
                warnings.append(f"fvd of N = {n} against {m} is mostly sample-size bias under {FEW}")
        elif name == "fvd_unbiased":
            found = frechet_unbiased(generated, real, ddof)
            value = found.value
            if min(n, m) >= 4 * d:
                low, high = found.interval()
            else:
                warnings.append(f"fvd_unbiased: no interval under 4 × {d} rows on both sides")
        elif name == "kvd":
            value, error = kernel_distance(generated, real)
            low, high = value - Z95 * error, value + Z95 * error
        elif name in ("jedi", "mmd2"):
            value = mmd2(generated, real)
        elif name == "memorised":
            value = copies(generated, real).share
        else:
            near = near or neighbours(generated, real)
            value = float(getattr(near, name))
        rows.append({"name": name, "value": value, "low": low, "high": high})
    return {"statistics": rows, "n": n, "n_real": m, "d": d, "ddof": ddof, "warnings": warnings}
