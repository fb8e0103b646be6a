"""What each metric of the quick suite sees of each flaw of the simulated worlds, at three strengths.

    python benchmarks/flaws.py [--prompts 48] [--out docs/flaws.md] [--work FOLDER]

Every film exists sound and flawed, of the same prompt and seed, so differences are paired. For
distances the sound and the flawed set are measured to one sound set of other seeds, and the difference
of both distances gets a jackknife interval over prompts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals import compare, generators, suites
from evals.compare.sets import Vectors, vectors_of
from evals.demo import SIZE, chosen
from evals.metrics import SetMetric, create
from evals.metrics.frechet import frechet_distance
from evals.metrics.kernel import kernel_distance
from evals.records import PromptSet, View
from evals.run import Plan, Resources, Watcher, generate_run, score_run
from evals.score import Metrics, prepare
from evals.statistics import MIN_PROMPTS
from evals.worlds import FLAWS

STRENGTHS = (0.1, 0.3, 1.0)
REFERENCE_SEEDS = (1, 2)

# What the documentation promises: which metric is to see which flaw.
PROMISED: Mapping[str, tuple[str, ...]] = {
    "flicker": ("temporal_flicker",),
    "jitter": ("warping_error[dis]", "temporal_ssim"),
    "frozen": ("frozen_frames", "dynamic_degree[dis]"),
    "blur": ("sharpness",),
    "wrong-subject": ("clip_similarity[embedded]",),
    "no-gravity": ("kvd[embedded]",),
    "vanish": ("kvd[embedded]",),
    "teleport": ("kvd[embedded]",),
}


@dataclass(frozen=True)
class Cell:
    """Flawed minus sound, with its 95 % interval; `value` is the flawed set's own mean or distance."""

    value: float
    difference: float
    low: float | None
    high: float | None

    @property
    def seen(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def make(
    name: str, generator: str, prompts: PromptSet, seeds: Sequence[int], metrics: Metrics, work: Path
) -> compare.LoadedRun:
    """One run, generated and scored; resumes in `work`."""
    plan = Plan(generators.create(generator, {}), work / name, prompts, seeds, SIZE)
    resources = Resources()
    run, _ = generate_run(plan, resources, Watcher())
    score_run(run, metrics, View(), resources)
    return compare.load([work / name])[0]


def measure(
    prompts: PromptSet,
    strengths: Sequence[float],
    flaws: Sequence[str],
    metric_ids: Sequence[str],
    work: Path,
) -> dict[tuple[str, float, str], Cell]:
    """A cell for every flaw, strength and metric."""
    metrics = prepare(metric_ids, {})
    sound = make("sound", "simulated:clean", prompts, (0,), metrics, work)
    reference = make("reference", "simulated:clean", prompts, REFERENCE_SEEDS, metrics, work)
    cells: dict[tuple[str, float, str], Cell] = {}
    for flaw in flaws:
        for strength in strengths:
            made = make(
                f"{flaw}-{strength:g}", f"simulated:{flaw}@{strength:g}", prompts, (0,), metrics, work
            )
            found = compare.compare([made, sound])
            means = found.summary[(found.summary.category == "all") & (found.summary.generator == made.label)]
            for row in found.pairs.to_dict("records"):
                mean = means.loc[means.metric == row["metric"], "mean"].item()
                cells[flaw, strength, row["metric"]] = Cell(
                    _number(mean), _number(row["difference"]), _maybe(row["ci_low"]), _maybe(row["ci_high"])
                )
            for name in metrics.sets:
                cells[flaw, strength, name] = distance(made, sound, reference, name)
            print(flaw, strength, *[n for n in metric_ids if cells[flaw, strength, n].seen], flush=True)
    return cells


def distance(
    made: compare.LoadedRun, sound: compare.LoadedRun, reference: compare.LoadedRun, name: str
) -> Cell:
    """How much further from the reference the flawed set is than the sound one."""
    metric = create(name)
    assert isinstance(metric, SetMetric)
    a, b, r = (vectors_of(run, name, metric) for run in (made, sound, reference))
    kernel = name.startswith("kvd")

    def further(prompts: set[str]) -> tuple[float, float]:
        sides = [_of(v, prompts) for v in (a, b, r)]
        (x, gx), (y, gy), (z, gz) = sides
        if kernel:
            return kernel_distance(x, z, (gx, gz)).value, kernel_distance(y, z, (gy, gz)).value
        return frechet_distance(x, z), frechet_distance(y, z)

    everyone = set(a.prompts) & set(b.prompts)
    flawed, clean = further(everyone)
    change, n = flawed - clean, len(everyone)
    if not kernel or n < MIN_PROMPTS:
        return Cell(flawed, change, None, None)  # a Fréchet distance's bias depends on n: no jackknife
    left = np.array([np.subtract(*further(everyone - {p})) for p in sorted(everyone)])
    half = 1.96 * float(np.sqrt((n - 1) / n * np.square(left - left.mean()).sum()))
    return Cell(flawed, change, change - half, change + half)


def _of(vectors: Vectors, prompts: set[str]) -> tuple[NDArray[np.float64], list[str]]:
    kept = [i for i, p in enumerate(vectors.prompts) if p in prompts]
    return np.stack([vectors.rows[i] for i in kept]), [vectors.prompts[i] for i in kept]


def _maybe(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _number(value: Any) -> float:
    found = _maybe(value)
    return float("nan") if found is None else found


def spread(count: int) -> PromptSet:
    """`count` prompts that can be drawn, from all three sets alike."""
    return chosen(-(-count // 3))


def as_markdown(cells: Mapping[tuple[str, float, str], Cell], strengths: Sequence[float], count: int) -> str:
    """The table of promises, then for every flaw what sees it and what does not."""
    flaws = list(dict.fromkeys(f for f, _, _ in cells))
    ids = list(dict.fromkeys(m for _, _, m in cells))
    lines = ["| flaw | metric | " + " | ".join(f"strength {s:g}" for s in strengths) + " |"]
    lines += ["|---|---|" + "---|" * len(strengths)]
    for flaw in flaws:
        for metric in PROMISED.get(flaw, ()):
            shown = [_shown(cells[flaw, s, metric]) for s in strengths]
            lines.append(f"| `{flaw}` | `{metric}` | " + " | ".join(shown) + " |")
    lines += [
        "",
        "Which metrics see what, by strength (interval excludes 0; the sign is that of the change):",
        "",
    ]
    lines += ["| metric | " + " | ".join(f"`{f}`" for f in flaws) + " |", "|---|" + "---|" * len(flaws)]
    for metric in ids:
        row = []
        for flaw in flaws:
            marks = [_mark(cells[flaw, s, metric]) for s in strengths]
            row.append(" ".join(marks))
        lines.append(f"| `{metric}` | " + " | ".join(row) + " |")
    unseen = [f for f in flaws if not any(cells[f, s, m].seen for s in strengths for m in ids)]
    lines += [
        "",
        "Seen by nothing in `quick` at any strength: "
        + (", ".join(f"`{f}`" for f in unseen) or "none")
        + ".",
    ]
    distances = [m for m in ids if m.startswith(("fvd", "kvd"))]
    lines += ["", f"Distances to {len(REFERENCE_SEEDS)} × {count} sound films of other seeds:", ""]
    lines += ["| flaw | metric | sound | " + " | ".join(f"strength {s:g}" for s in strengths) + " |"]
    lines += ["|---|---|---|" + "---|" * len(strengths)]
    for flaw in flaws:
        for metric in distances:
            first = cells[flaw, strengths[0], metric]
            values = " | ".join(f"{cells[flaw, s, metric].value:.3g}" for s in strengths)
            lines.append(f"| `{flaw}` | `{metric}` | {first.value - first.difference:.3g} | {values} |")
    return "\n".join(lines) + "\n"


def _shown(cell: Cell) -> str:
    bounds = "" if cell.low is None else f" [{cell.low:.3g}, {cell.high:.3g}]"
    return f"{cell.difference:+.3g}{bounds}" + ("" if cell.seen else ", not shown")


def _mark(cell: Cell) -> str:
    return "·" if not cell.seen else "+" if cell.difference > 0 else "−"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/flaws"))
    o = parser.parse_args()
    prompts = spread(o.prompts)
    cells = measure(prompts, STRENGTHS, list(FLAWS), suites.load("quick").metrics, o.work)
    text = as_markdown(cells, STRENGTHS, len(prompts.prompts))
    print(text)
    if o.out:
        o.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
