"""Scores of made-up models for tests of the gate: no video, no decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evals.compare.run_scores import RunScores
from evals.gate import baseline as files
from evals.gate.check import Options, check
from evals.gate.records import Baseline, GateResult
from evals.records import MetricInfo, Spec
from evals.runs.folder import RunFolder

RISING = MetricInfo(id="good", spec=Spec(name="good"), extractors={}, direction="higher", aspect="motion")
FALLING = MetricInfo(id="bad", spec=Spec(name="bad"), extractors={}, direction="lower", aspect="appearance")
METRICS = (RISING, FALLING)


def scores(
    folder: RunFolder | None, values: Mapping[str, np.ndarray], label: str = "run",
    infos: Sequence[MetricInfo] = METRICS,
) -> RunScores:  # fmt: skip
    """A run with these scores (prompts, seeds) by metric."""
    prompts, seeds = next(iter(values.values())).shape
    at = [(f"p{i:03d}", s) for i in range(prompts) for s in range(seeds)]
    table = pd.DataFrame(at, columns=["prompt_id", "seed"])
    for name, value in values.items():
        table[name] = value.reshape(-1)
    made = RunScores.of_table(label, table, infos)
    return replace(made, folder=folder)


def model(
    rng: np.random.Generator, prompts: int = 100, seeds: int = 2, noise: float = 0.3
) -> dict[str, np.ndarray]:
    """Scores of a model: prompts differ by 1, seeds by `noise`. A second call with the same generator's state
    for prompts is made by `again`."""
    base = rng.normal(size=(prompts, 1))
    return {info.id: base + noise * rng.normal(size=(prompts, seeds)) for info in METRICS}


def moved(values: Mapping[str, np.ndarray], **by: float) -> dict[str, np.ndarray]:
    """The same scores, moved."""
    return {name: value + by.get(name, 0.0) for name, value in values.items()}


def again(values: Mapping[str, np.ndarray], rng: np.random.Generator, noise: float) -> dict[str, np.ndarray]:
    """The same scores with a little noise of their own."""
    return {name: value + noise * rng.normal(size=value.shape) for name, value in values.items()}


def baseline_of(run: RunScores, margin: float = 0.35, **changes: object) -> Baseline:
    """A baseline with margins of that many spreads between prompts."""
    from evals.gate.margins import frozen

    deciding = files.deciding(run.metrics, None, {})
    made = files.of_run(run, "base", list(deciding), {}, "")
    margins = frozen(deciding, files.spreads(made, deciding), margin, {})
    return made.model_copy(update={"margins": margins, **changes})


def verdict(baseline: Baseline, candidate: RunScores, options: Options | None = None) -> GateResult:
    """What the gate says."""
    return check(baseline, None, candidate, None, options)


def empty_run(folder: Path) -> RunFolder:
    """A run folder without samples, where only its record is looked at."""
    from evals.records import Settings
    from evals.runs import folder as run_folders

    return run_folders.create(folder, "made-up", Spec(name="made-up"), Settings())
