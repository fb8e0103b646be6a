"""How often the 95 % intervals of `fvd_unbiased` and `kvd` hold the truth, drawn as a figure.

    python -m benchmarks.coverage --replicates 1000 --out docs/images/coverage.svg

Gaussians in 16 dimensions, equal, slightly and clearly different, at several sizes; misses on both sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evals.metrics.frechet import frechet_distance_from_moments
from evals.metrics.kernel import kernel_distance
from evals.metrics.unbiased import frechet_unbiased

D = 16
BASE = np.linspace(0.3, 1.5, D)
SHAPES = {"equal": (0.0, 1.0), "slightly different": (0.2, 1.05), "clearly different": (1.0, 1.3)}
SIZES = {"fvd_unbiased": (64, 128, 256), "kvd": (64, 128, 256, 512)}
Matrix = NDArray[np.float64]
Interval = tuple[float, float]


def pair(rng: np.random.Generator, n: int, shift: float, scale: float) -> tuple[Matrix, Matrix]:
    mean, spread = np.zeros(D), np.ones(D)
    mean[0], spread[: D // 2] = shift, scale
    return rng.normal(size=(n, D)) * BASE, mean + rng.normal(size=(n, D)) * BASE * spread


def truth(name: str, shift: float, scale: float, rng: np.random.Generator) -> float:
    """The distance of the distributions: in closed form, or the mean of large samples."""
    if name == "kvd":
        found = [kernel_distance(*pair(rng, 4000, shift, scale)).value for _ in range(40)]
        return float(np.mean(found)) if shift else 0.0
    mean, spread = np.zeros(D), np.ones(D)
    mean[0], spread[: D // 2] = shift, scale
    c1, c2 = np.diag(BASE**2), np.diag((BASE * spread) ** 2)
    return frechet_distance_from_moments(np.zeros(D), c1, mean, c2)


def fvd(a: Matrix, b: Matrix) -> Interval:
    found = frechet_unbiased(a, b).interval()
    return float(found[0]), float(found[1])


def kvd(a: Matrix, b: Matrix) -> Interval:
    found = kernel_distance(a, b)
    half = 1.959964 * found.standard_error
    return found.value - half, found.value + half


METHODS: dict[str, Callable[[Matrix, Matrix], Interval]] = {"fvd_unbiased": fvd, "kvd": kvd}
Row = tuple[str, str, int, float, float]  # method, shape, n, share of truths below, share above


def simulate(replicates: int) -> list[Row]:
    rows = []
    for name, sizes in SIZES.items():
        for shape, (shift, scale) in SHAPES.items():
            rng = np.random.default_rng(7)
            exact = truth(name, shift, scale, rng)
            for n in sizes:
                found = [METHODS[name](*pair(rng, n, shift, scale)) for _ in range(replicates)]
                low = float(np.mean([exact < a for a, _ in found]))
                high = float(np.mean([exact > b for _, b in found]))
                rows.append((name, shape, n, low, high))
                print(f"{name:14s} {shape:20s} N = {n:4d}  {1 - low - high:.3f}  {low:.3f} {high:.3f}")
    return rows


def figure(rows: list[Row], replicates: int) -> str:
    """An SVG: a dot per simulation on a scale of coverage, its misses beside it."""
    left, top, step, width = 300, 60, 24, 420
    height = top + step * len(rows) + 50

    def x(share: float) -> float:
        return left + (share - 0.90) / 0.10 * width

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 170}" height="{height}"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="16" y="24" font-size="15">How often 95 % intervals hold the truth; {replicates:,}'
        " replicates each</text>",
        f'<rect x="{x(0.92)}" y="{top - 14}" width="{x(0.99) - x(0.92)}" height="{step * len(rows) + 8}"'
        ' fill="#eef3ee"/>',
        f'<line x1="{x(0.95)}" x2="{x(0.95)}" y1="{top - 14}" y2="{top + step * len(rows) - 6}"'
        ' stroke="#888" stroke-dasharray="4 3"/>',
        f'<text x="{left + width + 16}" y="{top - 22}" fill="#555">truth below / above</text>',
    ]
    for i, (name, shape, n, low, high) in enumerate(rows):
        y = top + i * step + 4
        covered = 1 - low - high
        parts.append(f'<text x="16" y="{y}">{name}, {shape}, N = {n}</text>')
        parts.append(f'<circle cx="{x(max(covered, 0.90)):.1f}" cy="{y - 4}" r="5" fill="#2b5d8a"/>')
        parts.append(f'<text x="{left + width + 16}" y="{y}" fill="#555">{low:.1%} / {high:.1%}</text>')
    for share in (0.90, 0.92, 0.95, 0.99):
        parts.append(f'<text x="{x(share) - 14:.1f}" y="{height - 18}" fill="#555">{share:.0%}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = simulate(given.replicates)
    if given.out:
        given.out.write_text(figure(rows, given.replicates), encoding="utf-8")


if __name__ == "__main__":
    main()
