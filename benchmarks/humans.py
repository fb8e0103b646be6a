"""How metrics rank videos and how people do: FETV's rated prompts (Liu et al. 2023).

    python -m benchmarks.humans ../shared/assets/fetv --page docs/metrics.md [--weights raft-small=FILE]

Spearman's correlation of each metric with the human temporal quality, signed so that agreement is positive.
`pooled` is over all videos; `within prompts` is the mean of every prompt's own, which how hard a prompt is
cannot move. Intervals: percentiles of 4,000 resamples of prompts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.page import put
from evals import generators
from evals.decoding.resources import Resources
from evals.generate import RunConfig, generate_run
from evals.metrics import create
from evals.records import Normalization
from evals.scoring import prepare, score_run

PLAIN = (
    "temporal_flicker", "temporal_ssim", "frozen_frames", "warping_error[dis]", "dynamic_degree[dis]",
    "flow_magnitude[dis]", "motion_smoothness[dis]", "temporal_quality[dis]",
)  # fmt: skip
RAFT = ("warping_error", "dynamic_degree", "flow_magnitude", "motion_smoothness", "temporal_quality")

Scores = dict[str, dict[str, float]]  # by prompt, then by model


def ratings(folder: Path) -> Scores:
    """Human temporal quality, 1 to 5."""
    found: Scores = defaultdict(dict)
    for line in (folder / "ratings.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "human_temporal_quality" in row:
            found[row["prompt_id"]][row["model"]] = float(row["human_temporal_quality"])
    return found


def measure(
    folder: Path, names: list[str], weights: dict[str, Path], normalization: Normalization
) -> dict[str, Scores]:
    """Every metric's value by prompt and model."""
    metrics = prepare(names, weights)
    found: dict[str, Scores] = {name: defaultdict(dict) for name in names}
    for model in sorted(p.name for p in folder.iterdir() if p.is_dir()):
        with tempfile.TemporaryDirectory() as scratch, Resources(device="cpu") as resources:
            config = RunConfig(generators.create(f"folder:{folder / model}"), Path(scratch) / "run")
            run = generate_run(config, resources)
            score_run(run, metrics, normalization, resources)
            for (prompt, _), scores in run.scores(str(normalization)).items():
                for name, score in scores.items():
                    if score.value is not None:
                        found[name][prompt][model] = score.value
    return found


def rank(pairs: list[tuple[float, float]]) -> float:
    """Spearman's correlation; 0 where one side is all alike."""
    a, b = np.array(pairs).T
    return float(stats.spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else 0.0


def correlations(
    human: Scores, scores: Scores, sign: float, models: set[str]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Pooled, and mean within prompts, each with its 95 % interval."""
    prompts = sorted(human)
    pairs = [
        [(human[p][m], sign * scores[p][m]) for m in sorted(models) if m in human[p] and m in scores[p]]
        for p in prompts
    ]
    rng = np.random.default_rng(0)

    def both(chosen: list[list[tuple[float, float]]]) -> tuple[float, float]:
        inside = [rank(c) for c in chosen if len({h for h, _ in c}) > 1]
        return rank([x for c in chosen for x in c]), float(np.mean(inside))

    drawn = np.array([both([pairs[i] for i in rng.integers(0, len(pairs), len(pairs))]) for _ in range(4000)])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    at = both(pairs)
    return (at[0], low[0], high[0]), (at[1], low[1], high[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--weights", help="raft-small=FILE")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    human = ratings(given.folder)
    measured = measure(given.folder, list(PLAIN), {}, Normalization())
    if given.weights:
        name, _, path = given.weights.partition("=")
        ids = [f"{metric}[{name}]" for metric in RAFT]
        measured |= measure(given.folder, ids, {name: Path(path)}, Normalization(short_side=128))
    models = {m for row in human.values() for m in row}
    lines = [
        "| metric | pooled, models | within prompts, models | pooled, with real clips | within prompts |",
        "|---|---|---|---|---|",
    ]
    for name, scores in measured.items():
        sign = -1.0 if create(name).about.direction == "lower" else 1.0
        cells = []
        for chosen in (models - {"gt"}, models):
            for value, low, high in correlations(human, scores, sign, chosen):
                cells.append(f"{value:+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    print(table)
    if given.page:
        put(given.page, "humans", table)


if __name__ == "__main__":
    main()
