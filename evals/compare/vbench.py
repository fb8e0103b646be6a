"""A comparison in VBench's terms: the dimensions that this suite computes as VBench defines them.

Dimensions, ranges and the required samples are VBench's (Huang et al. 2024; its `scripts/constant.py` and
`VBench_full_info.json`). What is not computed is missing, never 0, so there is no total.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from evals.compare.load import LoadedRun
from evals.errors import UsageError
from evals.journal import write_atomically
from evals.readers import VBENCH_TAG
from evals.records import digest

COLUMNS = ["generator", "dimension", "metric", "value", "normalised", "n", "remark"]
NOT_A_SCORE = "not a VBench score"

# Of every dimension: its range, how many prompts it has and the digest of their sorted texts.
DIMENSIONS: dict[str, tuple[float, float, int, str]] = {
    "subject_consistency": (0.1462, 1.0, 72, "0e8d351dbc8ef681dfd376bce65612c1"),
    "background_consistency": (0.2615, 1.0, 86, "dcc90c3c23396361b046f6b4732d52aa"),
    "temporal_flickering": (0.6293, 1.0, 75, "b27599b821b418deeab581b3ed47bf6f"),
    "motion_smoothness": (0.706, 0.9975, 72, "0e8d351dbc8ef681dfd376bce65612c1"),
    "dynamic_degree": (0.0, 1.0, 72, "0e8d351dbc8ef681dfd376bce65612c1"),
    "aesthetic_quality": (0.0, 1.0, 93, "98e36f3d382d58a95fd2254abf42d79a"),
    "imaging_quality": (0.0, 1.0, 93, "98e36f3d382d58a95fd2254abf42d79a"),
    "object_class": (0.0, 1.0, 79, "83d57677efecc0089f42d1fe17dbf07a"),
    "multiple_objects": (0.0, 1.0, 82, "91fba814f02506ed137093b4d1c8969e"),
    "human_action": (0.0, 1.0, 100, "0f736ae9540e0d3a22065eccaa0e7409"),
    "color": (0.0, 1.0, 85, "dd25cccf0b965bff69ddef0a46cb6ca2"),
    "spatial_relationship": (0.0, 1.0, 84, "c306e3af31c874ddd0ff2e6185b9dfe1"),
    "scene": (0.0, 0.8222, 86, "dcc90c3c23396361b046f6b4732d52aa"),
    "appearance_style": (0.0009, 0.2855, 90, "4a28655a8a315f925ec38d7bf59e2dcc"),
    "temporal_style": (0.0, 0.364, 100, "62b9800c809b6e77f9b0cd4602910e18"),
    "overall_consistency": (0.0, 0.364, 93, "98e36f3d382d58a95fd2254abf42d79a"),
}  # fmt: skip

METRICS: dict[str, str] = {
    "subject_consistency": "subject_consistency[dino]",
    "background_consistency": "background_consistency[ViT-B-32-quickgelu/openai:vbench]",
    "temporal_flickering": "temporal_flicker",
    "dynamic_degree": "dynamic_degree[raft-large:vbench]",
    "aesthetic_quality": "aesthetic[ViT-L-14-quickgelu/openai:vbench]",
}
WHY_NOT: dict[str, str] = {
    "motion_smoothness": "VBench's interpolator (AMT) is non-commercial; motion_smoothness here is another",
}
SAMPLES = {"temporal_flickering": 25}
SAMPLES_ELSE = 5


def view(runs: list[LoadedRun]) -> pd.DataFrame:
    """One row per run and dimension; `value` is None where it is missing, and `remark` says why, or what
    keeps it from being VBench's number."""
    rows: list[tuple[object, ...]] = [_row(run, dimension) for run in runs for dimension in DIMENSIONS]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(run: LoadedRun, dimension: str) -> tuple[object, ...]:
    low, high, *_ = DIMENSIONS[dimension]
    name = METRICS.get(dimension)
    if name is None:
        why = WHY_NOT.get(dimension, "no metric here is VBench's")
        return (run.label, dimension, "", None, None, 0, f"missing: {why}")
    if name not in run.metrics:
        return (run.label, dimension, name, None, None, 0, "missing: the run was not scored with it")
    whole, prompts, remark = _prompts(run, dimension)
    found = {at: run.status(at, name)[1] for at in run.run.info.sample_ids() if at[0] in prompts}
    values = [v for v in found.values() if v is not None]
    if not values:
        return (run.label, dimension, name, None, None, 0, "missing: no video has a score")
    value = float(np.mean(values))
    remarks = [remark] if remark else []
    if whole:
        wanted = SAMPLES.get(dimension, SAMPLES_ELSE)
        fewest = min(sum(v is not None for at, v in found.items() if at[0] == p) for p in prompts)
        if fewest < wanted:
            remarks.append(f"{fewest} of {wanted} samples a prompt")
        if run.view != "native":
            remarks.append(f"videos were normalised: {run.view}")
        if dimension == "temporal_flickering":
            remarks.append("without VBench's filter for still videos")
    return (run.label, dimension, name, value, (value - low) / (high - low), len(values), "; ".join(remarks))


def _prompts(run: LoadedRun, dimension: str) -> tuple[bool, set[str], str]:
    """Whether a run has the prompts of a dimension, all and no other; which they are; what to say."""
    tagged = {p.id: p.text for p in run.prompts.values() if VBENCH_TAG + dimension in p.tags}
    *_, count, known = DIMENSIONS[dimension]
    if tagged and digest(sorted(set(tagged.values()))) == known:
        return True, set(tagged), ""
    if tagged:
        return False, set(tagged), f"{NOT_A_SCORE}: {len(tagged)} of the dimension's {count} prompts"
    return False, set(run.prompts), f"{NOT_A_SCORE}: other prompts"


def submission(run: LoadedRun, folder: Path) -> list[Path]:
    """VBench's result files, one per dimension: its mean and every video's value.

    Raises `UsageError` unless every dimension that was computed is on VBench's own prompts with as many
    samples as it asks for.
    """
    table = view([run])
    done = table[table["value"].notna()]
    if done.empty or done["remark"].str.contains(NOT_A_SCORE).any():
        raise UsageError(
            f"{run.label}: {NOT_A_SCORE}: its prompts are not VBench's (--prompts VBench_full_info.json); no"
            " submission is written"
        )
    short = done[done["remark"].str.contains("samples a prompt|normalised")]
    if len(short):
        first = short.iloc[0]
        raise UsageError(f"{run.label}: {first['dimension']}: {first['remark']}; no submission is written")
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for one in done.to_dict("records"):
        dimension, metric = str(one["dimension"]), str(one["metric"])
        _, prompts, _ = _prompts(run, dimension)
        videos = [
            {"video_path": str(run.samples[at].video), "video_results": _plain(run, at, metric)}
            for at in sorted(run.run.info.sample_ids())
            if at[0] in prompts and run.status(at, metric)[1] is not None
        ]
        path = folder / f"{dimension}_eval_results.json"
        data: Mapping[str, object] = {dimension: [one["value"], videos]}
        write_atomically(path, json.dumps(data, indent=1).encode())
        written.append(path)
    return written


def _plain(run: LoadedRun, at: tuple[str, int], metric: str) -> object:
    value = run.status(at, metric)[1]
    return bool(value) if run.metrics[metric].binary else value


def as_text(table: pd.DataFrame) -> str:
    """The table for a terminal."""
    lines = []
    for label, part in table.groupby("generator", sort=False):
        lines.append(f"{label}: VBench's dimensions")
        for row in part.to_dict("records"):
            value = "missing" if math.isnan(row["value"]) else f"{row['value']:.4f} → {row['normalised']:.4f}"
            remark = str(row["remark"]).removeprefix("missing: ")
            lines.append(f"  {row['dimension']:24s} {value:18s} {remark}".rstrip())
    return "\n".join(lines)
