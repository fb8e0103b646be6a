"""Time of the Fréchet distance against `scipy.linalg.sqrtm`: `python benchmarks/frechet.py [--json]`.

Features are Gaussian draws; both ways start from the same float64 arrays and must agree. Rounds are
interleaved; figures are medians.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from evals.metrics.frechet import frechet_distance
from evals.provenance import hardware, versions

Matrix = NDArray[np.float64]


def usual(a: Matrix, b: Matrix) -> float:
    """What most implementations do: covariances and a matrix square root."""
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb)
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(ca) + np.trace(cb) - 2 * np.trace(root.real))


def timed(function: Callable[[Matrix, Matrix], float], a: Matrix, b: Matrix) -> tuple[float, float]:
    started = time.perf_counter()
    value = function(a, b)
    return time.perf_counter() - started, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = []
    for n, d, rounds in ((256, 2048, 3), (2048, 400, 5)):
        rng = np.random.default_rng(0)
        scale = rng.uniform(0.1, 2, d)
        a, b = rng.normal(size=(n, d)) * scale, rng.normal(0.1, 1.1, size=(n, d)) * scale
        frechet_distance(a[:50, :40], b[:50, :40])  # load the libraries
        times: dict[str, list[float]] = {"ours": [], "sqrtm": []}
        values = {}
        for _ in range(rounds):
            for name, function in (("ours", frechet_distance), ("sqrtm", usual)):
                seconds, values[name] = timed(function, a, b)
                times[name].append(seconds)
        ours, theirs = np.median(times["ours"]), np.median(times["sqrtm"])
        found.append({
            "n": n, "d": d, "ours_s": round(float(ours), 4), "sqrtm_s": round(float(theirs), 4),
            "ratio": round(float(theirs / ours), 1),
            "relative_difference": abs(values["ours"] / values["sqrtm"] - 1),
        })  # fmt: skip
    if as_json:
        print(json.dumps({"results": found, "hardware": hardware(), "versions": versions()}, indent=1))
        return
    print(f"{'n':>6} {'d':>6} {'ours, s':>9} {'sqrtm, s':>9} {'ratio':>7} {'difference':>11}")
    for row in found:
        print(
            f"{row['n']:6} {row['d']:6} {row['ours_s']:9.4f} {row['sqrtm_s']:9.3f} {row['ratio']:7.1f}"
            f" {row['relative_difference']:11.1e}"
        )


if __name__ == "__main__":
    main()
