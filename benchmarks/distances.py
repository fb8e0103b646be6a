"""Which flaws of the simulated worlds the distances on the embedded encoder's features detect.

    python -m benchmarks.distances [--seeds 4] [--page docs/flaws.md] [--work FOLDER]

All standard prompts that can be simulated. A flawed set and the clean one of the same seeds are both
measured to a clean set of other seeds. `kvd`: is the flawed set further away than swapping flawed and
clean films prompt by prompt at random would make it? Matched by prompt: the difference of the two
distances, with its interval over prompts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.flaws import make
from benchmarks.page import put
from evals import frechet_distance, kernel_distance, matched_kernel_distances, prompts
from evals.cli.demo import SETS
from evals.compare.paired import PairedDifference, paired_difference
from evals.compare.vectors import vectors_of
from evals.errors import CannotDraw
from evals.metrics import create
from evals.metrics.base import DistributionMetric
from evals.records import Prompt, PromptSet
from evals.scoring import prepare
from evals.worlds import FLAWS, check

STRENGTHS = (0.25, 0.5, 1.0)
METRIC = "kvd[embedded]"
SWAPS = 999

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Films:
    """Features (n, d) of a run's films by (prompt, seed)."""

    rows: dict[tuple[str, int], Matrix]

    def of(self, keys: Sequence[tuple[str, int]]) -> Matrix:
        return np.stack([self.rows[key] for key in keys])


@dataclass(frozen=True)
class Found:
    """Distances of a flawed set to a clean one, and of the clean set that it stands beside."""

    fvd: float
    kvd: float
    clean_fvd: float
    clean_kvd: float
    p: float  # of kvd - clean_kvd under swaps
    matched: PairedDifference  # difference of the means over prompts
    clean_matched: float


def measure(flawed: Films, clean: Films, reference: Films) -> Found:
    """Over the prompts and seeds that the flawed set has."""
    keys = sorted(set(flawed.rows) & set(clean.rows))
    names = [prompt for prompt, _ in keys]
    known = set(names)
    others = sorted(key for key in reference.rows if key[0] in known)
    groups = (names, [prompt for prompt, _ in others])
    x, y, r = flawed.of(keys), clean.of(keys), reference.of(others)

    ours, theirs = (matched_kernel_distances(side, r, groups) for side in (x, y))
    change = np.array([ours[name] - theirs[name] for name in ours])
    further, near = (kernel_distance(side, r, groups).value for side in (x, y))
    return Found(
        fvd=frechet_distance(x, r),
        kvd=further,
        clean_fvd=frechet_distance(y, r),
        clean_kvd=near,
        p=swapped(x, y, r, groups, further - near),
        matched=paired_difference(change, np.zeros_like(change)),
        clean_matched=float(np.mean(list(theirs.values()))),
    )


def swapped(x: Matrix, y: Matrix, r: Matrix, groups: tuple[list[str], list[str]], observed: float) -> float:
    """How often the difference of two kernel distances to `r` is as large as observed, when the sets
    change places prompt by prompt at random. All kernel values are computed once."""
    everything = np.concatenate([x, y, r])
    names = np.array([*groups[0], *groups[0], *groups[1]])
    kernel = (everything @ everything.T / x.shape[1] + 1) ** 3 * (names[:, None] != names[None])
    n, number = len(x), np.unique(groups[0], return_inverse=True)[1]
    pairs = (names[:n, None] != names[None, :n]).sum(), (names[:n, None] != names[None, 2 * n :]).sum()
    across = kernel[: 2 * n, 2 * n :].sum(1)

    def further(mine: NDArray[np.int64], other: NDArray[np.int64]) -> float:
        within = kernel[np.ix_(mine, mine)].sum() - kernel[np.ix_(other, other)].sum()
        between = across[mine].sum() - across[other].sum()
        return float(within / pairs[0] - 2 * between / pairs[1])

    first, second, rng = np.arange(n), np.arange(n, 2 * n), np.random.default_rng(0)
    assert np.isclose(further(first, second), observed, rtol=1e-6, atol=1e-9)
    extreme = 1
    for _ in range(SWAPS):
        swap = rng.integers(0, 2, number.max() + 1).astype(bool)[number]
        moved = np.where(swap, second, first), np.where(swap, first, second)
        extreme += further(*moved) >= observed
    return extreme / (SWAPS + 1)


def drawable() -> PromptSet:
    """Every standard prompt that can be simulated."""
    found: list[Prompt] = []
    for name in SETS:
        for prompt in prompts.load(prompts.find(name)).prompts:
            try:
                check(prompt)
            except CannotDraw:
                continue
            found.append(prompt)
    return PromptSet(name="drawable", prompts=tuple(found))


def films(name: str, generator: str, made: PromptSet, seeds: Sequence[int], work: Path) -> Films:
    """The features of a run, which is made or resumed in `work`."""
    metric = create(METRIC)
    assert isinstance(metric, DistributionMetric)
    run = make(name, generator, made, seeds, prepare([METRIC], {}), work)
    vectors = vectors_of(run, METRIC, metric)
    at = [key for key, sample in sorted(run.videos.items()) if sample.status == "ok"]
    return Films(dict(zip(at, vectors.rows, strict=True)))


def table(found: dict[tuple[str, float], Found], none: Found) -> str:
    """A row for every flaw and strength; the first is a clean set of further seeds."""
    lines = [
        "| flaw | strength | `fvd` | `kvd` | p (swaps) | matched by prompt, flawed − clean |",
        "|---|---|---|---|---|---|",
        f"| none | | {none.fvd:.3g} | {none.kvd:.2g} | {none.p:.3f} | {_interval(none.matched)} |",
    ]
    for (flaw, strength), f in found.items():
        lines.append(
            f"| `{flaw}` | {strength:g} | {f.fvd:.3g} | {f.kvd:.2g} | {f.p:.3f} | {_interval(f.matched)} |"
        )
    first = next(iter(found.values()))
    return "\n".join(
        [
            *lines,
            "",
            f"The clean set itself: `fvd` {first.clean_fvd:.3g}, `kvd` {first.clean_kvd:.2g}, matched by"
            f" prompt {first.clean_matched:.2g}.",
        ]
    )


def _interval(e: PairedDifference) -> str:
    bounds = "" if e.low is None else f" [{e.low:.2g}, {e.high:.2g}]"
    seen = e.low is not None and e.high is not None and (e.low > 0 or e.high < 0)
    return f"{e.difference:+.2g}{bounds}" + ("" if seen else ", not shown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/distances"))
    o = parser.parse_args()
    made, n = drawable(), o.seeds
    clean, reference, third = (
        films(name, "simulated:clean", made, range(start, start + n), o.work)
        for name, start in (("clean", 0), ("reference", n), ("third", 2 * n))
    )
    renamed = Films({(prompt, seed - 2 * n): row for (prompt, seed), row in third.rows.items()})
    none = measure(renamed, clean, reference)
    found = {}
    for flaw in FLAWS:
        for strength in STRENGTHS:
            name = f"{flaw}-{strength:g}"
            flawed = films(name, f"simulated:{flaw}@{strength:g}", made, range(n), o.work)
            found[flaw, strength] = one = measure(flawed, clean, reference)
            print(name, f"kvd {one.kvd:.2g}, p {one.p:.3f}, matched {_interval(one.matched)}", flush=True)
    text = table(found, none)
    print(text)
    if o.page:
        put(o.page, "distances", text)


if __name__ == "__main__":
    main()
