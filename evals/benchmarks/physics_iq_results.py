"""What Physics-IQ gives, as files: one document, and one row per clip."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evals.benchmarks.physics_iq import Result, Run, mean_of
from evals.runs.journal import write_atomically

SOURCE = "Physics-IQ (Motamed et al. 2025, arXiv 2501.09038), original protocol"


def write(result: Result, out: Path) -> dict[str, Any]:
    """Write `physics-iq.json` and `physics-iq.csv`; gives the document."""
    document = {
        "benchmark": SOURCE,
        "score": result.score,
        "sd": result.spread,
        "runs": [run.settings["all views, take 1"] for run in result.runs],
        "fps": result.fps,
        "conditioned_on": result.conditioned_on,
        "complete": result.complete,
        "labels": result.labels,
        "settings": _over_runs([run.settings for run in result.runs]),
        "categories": _over_runs([run.categories for run in result.runs]),
        "means": asdict(mean_of([row for run in result.runs for row in run.rows])),
        "left_out": {str(run.folder): list(run.left_out) for run in result.runs},
    }
    write_atomically(out / "physics-iq.json", json.dumps(document, indent=1, ensure_ascii=False).encode())
    write_atomically(out / "physics-iq.csv", _rows(result.runs).encode())
    return document


def _over_runs(found: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over runs, of what all of them have."""
    names = [name for name in found[0] if all(name in one for one in found)]
    made = {}
    for name in names:
        values = [one[name] for one in found]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        made[name] = {"mean": float(np.mean(values)), "sd": sd}
    return made


def _rows(runs: Sequence[Run]) -> str:
    file = io.StringIO()
    measures = ("spatiotemporal", "spatial", "weighted", "mse")
    sides = ("take1", "take2", "variance")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["run", "id", "scenario", "view", "category", *(f"{s}_{m}" for s in sides for m in measures)]
    )
    for run in runs:
        for row in run.rows:
            each = (*row.takes, row.variance)
            values = [getattr(one, m) for one in each for m in measures]
            writer.writerow([str(run.folder), row.id, row.name, row.view, row.category, *values])
    return file.getvalue()
