"""A run in VBench's terms: the dimensions that this suite computes as VBench defines them, and its result
files.

Dimensions, ranges and the required samples are VBench's (Huang et al. 2024; its `scripts/constant.py` and
`VBench_full_info.json`). What is not computed is missing, never 0, so there is no total. The metrics are
those of the suite `vbench`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from evals.compare.run_scores import RunScores
from evals.errors import UsageError
from evals.prompts.readers import VBENCH_TAG
from evals.records import digest
from evals.runs.journal import write_atomically


class Remark(StrEnum):
    """What keeps a dimension's value from being VBench's number, or why there is none."""

    NO_METRIC = "no_metric"
    NOT_SCORED = "not_scored"
    NO_VALUES = "no_values"
    OTHER_PROMPTS = "other_prompts"
    SOME_PROMPTS = "some_prompts"
    FEW_SAMPLES = "few_samples"
    NORMALIZED = "normalized"
    NO_STILL_FILTER = "no_still_filter"


NOT_A_SCORE = {Remark.OTHER_PROMPTS, Remark.SOME_PROMPTS}
NOT_COMPLETE = {Remark.FEW_SAMPLES, Remark.NORMALIZED}


@dataclass(frozen=True)
class Dimension:
    """One dimension of one run: `normalized` is the value on VBench's scale from 0 to 1, `remarks` codes with
    their sentences."""

    run: str
    dimension: str
    metric: str = ""
    value: float | None = None
    normalized: float | None = None
    n: int = 0
    remarks: tuple[tuple[Remark, str], ...] = ()

    @property
    def codes(self) -> set[Remark]:
        return {code for code, _ in self.remarks}

    @property
    def message(self) -> str:
        return "; ".join(text for _, text in self.remarks)


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


def dimensions(runs: Sequence[RunScores]) -> list[Dimension]:
    """Every dimension of every run."""
    return [_dimension(run, name) for run in runs for name in DIMENSIONS]


def table(found: Sequence[Dimension]) -> pd.DataFrame:
    """Dimensions as `vbench.csv` has them."""
    columns = ["run", "dimension", "metric", "value", "normalized", "n", "remark"]
    rows = [(d.run, d.dimension, d.metric, d.value, d.normalized, d.n, d.message) for d in found]
    return pd.DataFrame(rows, columns=columns)


def _dimension(run: RunScores, dimension: str) -> Dimension:
    low, high, *_ = DIMENSIONS[dimension]
    name = METRICS.get(dimension)
    if name is None:
        why = WHY_NOT.get(dimension, "no metric here is VBench's")
        return Dimension(run.label, dimension, remarks=((Remark.NO_METRIC, why),))
    if name not in run.metrics:
        why = "the run was not scored with it"
        return Dimension(run.label, dimension, name, remarks=((Remark.NOT_SCORED, why),))
    prompts, remark = _prompts(run, dimension)
    scores = run.by_metric[name]
    scores = scores[scores.index.get_level_values("prompt_id").isin(prompts)]
    values = scores.loc[scores["status"] == "ok", "value"]
    if values.empty:
        why = "no video has a score"
        return Dimension(run.label, dimension, name, remarks=((Remark.NO_VALUES, why),))
    remarks = [remark] if remark else []
    if remark is None:
        wanted = SAMPLES.get(dimension, SAMPLES_ELSE)
        counts = values.groupby(level="prompt_id").size().reindex(sorted(prompts), fill_value=0)
        if (fewest := int(counts.min())) < wanted:
            remarks.append((Remark.FEW_SAMPLES, f"{fewest} of {wanted} samples a prompt"))
        if run.normalization != "native":
            remarks.append((Remark.NORMALIZED, f"videos were normalized: {run.normalization}"))
        if dimension == "temporal_flickering":
            remarks.append((Remark.NO_STILL_FILTER, "without VBench's filter for still videos"))
    value = float(np.mean(values))
    scaled = (value - low) / (high - low)
    return Dimension(run.label, dimension, name, value, scaled, len(values), tuple(remarks))


def _prompts(run: RunScores, dimension: str) -> tuple[set[str], tuple[Remark, str] | None]:
    """The prompts that a dimension's value is over, and what to say where they are not exactly VBench's."""
    tagged = {p.id: p.text for p in run.prompts.values() if VBENCH_TAG + dimension in p.tags}
    *_, count, known = DIMENSIONS[dimension]
    if tagged and digest(sorted(set(tagged.values()))) == known:
        return set(tagged), None
    if tagged:
        message = f"not a VBench score: {len(tagged)} of the dimension's {count} prompts"
        return set(tagged), (Remark.SOME_PROMPTS, message)
    return set(run.prompts), (Remark.OTHER_PROMPTS, "not a VBench score: other prompts")


def write_submission(run: RunScores, folder: Path) -> list[Path]:
    """VBench's result files, one per dimension: its mean and every video's value.

    Raises `UsageError` unless every dimension that was computed is on VBench's own prompts with as many
    samples as it asks for.
    """
    done = [one for one in dimensions([run]) if one.value is not None]
    if not done or any(one.codes & NOT_A_SCORE for one in done):
        raise UsageError(
            f"{run.label}: not a VBench score: its prompts are not VBench's (--prompts"
            " VBench_full_info.json); no submission is written"
        )
    if short := next((one for one in done if one.codes & NOT_COMPLETE), None):
        raise UsageError(f"{run.label}: {short.dimension}: {short.message}; no submission is written")
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for one in done:
        prompts, _ = _prompts(run, one.dimension)
        binary = run.metrics[one.metric].binary
        scores = run.by_metric[one.metric].sort_index()
        scores = scores[scores.index.get_level_values("prompt_id").isin(prompts) & (scores["status"] == "ok")]
        videos = [
            {"video_path": str(run.videos[at].video), "video_results": bool(value) if binary else value}
            for at, value in zip(scores.index.tolist(), scores["value"].tolist(), strict=True)
        ]
        path = folder / f"{one.dimension}_eval_results.json"
        data: Mapping[str, object] = {one.dimension: [one.value, videos]}
        write_atomically(path, json.dumps(data, indent=1).encode())
        written.append(path)
    return written


def as_text(found: Sequence[Dimension]) -> str:
    """Dimensions for a terminal."""
    lines = []
    for label in dict.fromkeys(one.run for one in found):
        lines.append(f"{label}: VBench's dimensions")
        for one in (d for d in found if d.run == label):
            value = "missing" if one.value is None else f"{one.value:.4f} → {one.normalized:.4f}"
            lines.append(f"  {one.dimension:24s} {value:18s} {one.message}".rstrip())
    return "\n".join(lines)
