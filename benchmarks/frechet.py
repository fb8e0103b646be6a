"""The Fréchet distance against `scipy.linalg.sqrtm`: `python -m benchmarks.frechet [--json]`.

Features are Gaussian draws; both ways start from the same float64 arrays and must agree. Rounds are
interleaved; figures are medians. Then moments of features that come in parts, against keeping them all.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial, reduce
from operator import add

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from evals.metrics.frechet import frechet_distance
from evals.metrics.moments import Moments
from evals.runs.provenance import hardware, versions

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


def peak(function: Callable[[], object]) -> float:
    """Largest memory that NumPy and Python took meanwhile, in MiB."""
    tracemalloc.start()
    function()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / 2**20


def parts(count: int, d: int, size: int = 256) -> Iterator[Matrix]:
    """Features as they come."""
    for i in range(0, count, size):
        yield np.random.default_rng(i).normal(size=(min(size, count - i), d))


def streamed(count: int, d: int) -> Matrix:
    total = reduce(add, (Moments.of(part) for part in parts(count, d)))
    return total.covariance()


def whole(count: int, d: int) -> Matrix:
    return np.asarray(np.cov(np.concatenate(list(parts(count, d))), rowvar=False))


def streaming(count: int = 20_000, d: int = 400) -> dict[str, float]:
    """Features per second and memory of both ways to a covariance."""
    found: dict[str, float] = {"n": count, "d": d}
    for name, function in (("streamed", streamed), ("whole set", whole)):
        started = time.perf_counter()
        function(count, d)
        found[f"{name}, features/s"] = round(count / (time.perf_counter() - started))
        found[f"{name}, MiB"] = round(peak(partial(function, count, d)), 1)
    return found


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
            "ours_mib": round(peak(partial(frechet_distance, a, b)), 1),
            "sqrtm_mib": round(peak(partial(usual, a, b)), 1),
        })  # fmt: skip
    moments = streaming()
    if as_json:
        print(
            json.dumps(
                {"results": found, "moments": moments, "hardware": hardware(), "versions": versions()},
                indent=1,
            )
        )
        return
    print(f"{'n':>6} {'d':>6} {'ours, s':>9} {'sqrtm, s':>9} {'ratio':>7} {'difference':>11}")
    for row in found:
        print(
            f"{row['n']:6} {row['d']:6} {row['ours_s']:9.4f} {row['sqrtm_s']:9.3f} {row['ratio']:7.1f}"
            f" {row['relative_difference']:11.1e}   {row['ours_mib']:.0f} against {row['sqrtm_mib']:.0f} MiB"
        )
    print(moments)


if __name__ == "__main__":
    main()
