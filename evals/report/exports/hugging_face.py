"""Hugging Face `.eval_results/*.yaml`: a model repository's own results, one value each.

The format has no place for an interval or a count, so both stand in `notes`. Source: `EvalResultEntry` of
huggingface_hub. `dataset.id` names a benchmark's dataset on the Hub: there is none for a prompt set of
one's own, so the file holds a placeholder that the uploader replaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evals.compare import Comparison
from evals.records import ALL
from evals.report.exports.naming import file_names
from evals.report.numbers import interval
from evals.runs.journal import write_atomically

DATASET = "YOUR-ORGANISATION/YOUR-PROMPT-SET"


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """`hugging-face/MODEL/.eval_results/t2v-evals.yaml`, for every model."""
    written = []
    for run, name in zip(comparison.runs, file_names(comparison.labels), strict=True):
        entries: list[dict[str, Any]] = []
        for mean in comparison.means:
            kind = comparison.metrics[mean.metric].kind
            if mean.run != run.run or mean.category != ALL or mean.mean is None or kind == "distribution":
                continue
            bounds = interval(mean.ci_low, mean.ci_high)
            notes = f"mean over {mean.n_prompts} prompts, {mean.n_ok} videos" + (
                f", 95 % {bounds}" if bounds else ""
            )
            entries.append(_entry(mean.metric, mean.mean, notes, run.scored.finished if run.scored else None))
        for one in comparison.distributions:
            if one.run == run.run and one.value is not None:
                bounds = interval(one.ci_low, one.ci_high)
                notes = f"{one.n} videos against {one.n_reference} of {one.reference}"
                notes += f", 95 % {bounds}" if bounds else ""
                entries.append(
                    _entry(one.metric, one.value, notes, run.scored.finished if run.scored else None)
                )
        path = folder / "hugging-face" / name / ".eval_results" / "t2v-evals.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100)
        write_atomically(path, text.encode())
        written.append(path)
    return written


def _entry(metric: str, value: float, notes: str, when: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"dataset": {"id": DATASET, "task_id": metric}, "value": value}
    if when is not None:
        found["date"] = when
    return {**found, "notes": notes}
