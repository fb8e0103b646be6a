"""Which flaws of the simulated worlds each metric of the quick suite detects, at three strengths.

    python -m benchmarks.flaws [--prompts 36] [--page docs/flaws.md] [--work FOLDER]

Every film exists clean and flawed, of the same prompt and seed, so differences are paired. Distribution
metrics are measured by `benchmarks.distances`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import put
from evals import generators
from evals.cli.demo import HEIGHT, WIDTH, choose_prompts
from evals.compare import RunScores, compare_scores, load_runs
from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.metrics import create, suites
from evals.metrics.base import VideoMetric
from evals.records import PromptSet, Settings
from evals.scoring import Metrics, prepare, score_run
from evals.worlds import FLAWS as ALL

STRENGTHS = (0.1, 0.3, 1.0)
OF_PHYSICS = {
    "upward-gravity", "unequal-gravity", "wrong-period", "energy-gain", "momentum-created", "pass-through",
    "size-drift", "colour-drift",
}  # fmt: skip
FLAWS = [flaw for flaw in ALL if flaw not in OF_PHYSICS]  # those are measured by benchmarks.physics

# Which metric must detect which flaw. Dynamic degree is a threshold on how much of a clip moves, so a clip
# that stands still for a third of its time rightly passes it.
PROMISED: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("flicker", "temporal_flicker"): STRENGTHS,
    ("jitter", "temporal_ssim"): STRENGTHS,
    ("jitter", "warping_error[dis]"): STRENGTHS,
    ("frozen", "frozen_frames"): STRENGTHS,
    ("frozen", "dynamic_degree[dis]"): (0.8, 0.9, 1.0),
    ("blur", "sharpness"): STRENGTHS,
    ("wrong-subject", "clip_similarity[embedded]"): STRENGTHS,
}

Cells = dict[tuple[str, float, str], "Cell"]


@dataclass(frozen=True)
class Cell:
    """Flawed minus clean, with its 95 % interval."""

    difference: float
    low: float | None
    high: float | None

    @property
    def detected(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def make(
    name: str, generator: str, prompts: PromptSet, seeds: Sequence[int], metrics: Metrics, work: Path
) -> RunScores:
    """One run, generated and scored; resumes in `work`."""
    config = RunConfig(
        generators.create(generator), work / name, prompts, seeds, Settings(width=WIDTH, height=HEIGHT)
    )
    with Resources() as resources:
        score_run(generate_run(config, resources), metrics, None, resources)
    return load_runs([work / name])[0]


def measure(
    prompts: PromptSet, cases: Iterable[tuple[str, float]], metric_ids: Sequence[str], work: Path
) -> Cells:
    """A cell for every flaw and strength of `cases`, and every metric."""
    metrics = prepare(metric_ids)
    clean = make("clean", "simulated:clean", prompts, (0,), metrics, work)
    cells: Cells = {}
    for flaw, strength in cases:
        name = f"{flaw}-{strength:g}"
        made = make(name, f"simulated:{flaw}@{strength:g}", prompts, (0,), metrics, work)
        for pair in compare_scores([made, clean]).pairs:
            if pair.difference is not None:
                cells[flaw, strength, pair.metric] = Cell(pair.difference, pair.ci_low, pair.ci_high)
        print(name, *[n for n in metric_ids if cells[flaw, strength, n].detected], flush=True)
    return cells


def promises(cells: Cells) -> str:
    """What every promised metric shows at three strengths."""
    lines = ["| flaw | metric | weakest | middle | strongest |", "|---|---|---|---|---|"]
    for (flaw, metric), strengths in PROMISED.items():
        shown = " | ".join(_shown(s, cells[flaw, s, metric]) for s in strengths)
        lines.append(f"| `{flaw}` | `{metric}` | {shown} |")
    return "\n".join(lines)


def matrix(cells: Cells, metric_ids: Sequence[str]) -> str:
    """Which metrics detect each flaw at the three strengths."""
    lines = ["| metric | " + " | ".join(f"`{f}`" for f in FLAWS) + " |", "|---|" + "---|" * len(FLAWS)]
    for metric in metric_ids:
        marks = [" ".join(_mark(cells[f, s, metric]) for s in STRENGTHS) for f in FLAWS]
        lines.append(f"| `{metric}` | " + " | ".join(marks) + " |")
    for strength in STRENGTHS:
        missed = [f for f in FLAWS if not any(cells[f, strength, m].detected for m in metric_ids)]
        names = ", ".join(f"`{f}`" for f in missed) or "none"
        lines.append(f"\nDetected by no video metric of `quick` at strength {strength:g}: {names}.")
    return "\n".join(lines)


def _shown(strength: float, cell: Cell) -> str:
    bounds = "" if cell.low is None else f" [{cell.low:.3g}, {cell.high:.3g}]"
    return f"{strength:g}: {cell.difference:+.3g}{bounds}" + ("" if cell.detected else ", not shown")


def _mark(cell: Cell) -> str:
    return "·" if not cell.detected else "+" if cell.difference > 0 else "−"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=36)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/flaws"))
    o = parser.parse_args()
    ids = [m for m in suites.load("quick").metrics if isinstance(create(m), VideoMetric)]
    cases = [(f, s) for f in FLAWS for s in STRENGTHS]
    cases += sorted({(f, s) for (f, _), strengths in PROMISED.items() for s in strengths} - set(cases))
    cells = measure(choose_prompts(-(-o.prompts // 3)), cases, ids, o.work)
    for name, text in (("promises", promises(cells)), ("matrix", matrix(cells, ids))):
        print(text + "\n")
        if o.page:
            put(o.page, name, text)


if __name__ == "__main__":
    main()
