"""A run as a comparison reads it: samples and scores in two tables, each status worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals.compare.vector_sets import Vectors
from evals.errors import BECAUSE_OF_THE_PROMPT, Reason, UsageError
from evals.records import Calibration, MetricInfo, Normalization, Prompt, Sample
from evals.runs.bulk import bulk
from evals.runs.current import SampleId, Samples, Values
from evals.runs.folder import RunFolder
from evals.runs.keys import metric_digest
from evals.runs.provenance import Provenance

SAMPLE_COLUMNS = [
    "prompt_id", "seed", "category", "status", "reason", "message", "sha256", "width", "height", "frames",
    "fps", "duration", "bytes", "wall_seconds", "cost",
]  # fmt: skip
SCORE_COLUMNS = [
    "prompt_id", "seed", "category", "metric", "status", "value", "reason", "message", "recorded",
]  # fmt: skip

_Note = tuple[str, int, str, str]
_Part = tuple[str, str, str, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """A run's scores as matrices (samples, metrics): `values`, NaN where there is none, and whether the
    metric `applies`, which it does unless it was skipped because of the prompt."""

    index: pd.MultiIndex
    columns: dict[str, int]
    values: NDArray[np.float64]
    applies: NDArray[np.bool_]


@dataclass(frozen=True)
class RunScores:
    """All that comparing needs of a run.

    `label` is unique among the runs compared. `samples` has a row per planned sample, `scores` one per
    planned sample and video metric; a status is `ok`, `skipped`, `refused`, `failed` or `missing`. Where
    there is no video, a score has its sample's status and is not `recorded`. `notes` are (prompt id, seed,
    metric, note), `parts` (prompt id, metric, sub-score, value); `calibrations` are those of judges, by
    their specs' digests. `folder` is the run folder with features and videos, None for scores from
    elsewhere."""

    label: str
    generator: str
    normalization: str
    prompts: Mapping[str, Prompt]
    samples: pd.DataFrame
    scores: pd.DataFrame
    metrics: Mapping[str, MetricInfo]
    notes: Sequence[_Note] = ()
    parts: Sequence[_Part] = ()
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    generated: Provenance | None = None
    scored: Provenance | None = None
    folder: RunFolder | None = field(default=None, repr=False)
    videos: Samples = field(default_factory=Samples, repr=False)
    """Samples that have a video, where there is a folder."""
    vectors: Mapping[str, Vectors] = field(default_factory=dict, repr=False)
    """Features by distribution metric, where there is no folder."""
    read: dict[Any, Vectors] = field(default_factory=dict, repr=False)
    """What was read from the folder, by the features and how they are taken; not to be changed."""

    @cached_property
    def by_metric(self) -> dict[str, pd.DataFrame]:
        """Scores of each video metric, by (prompt id, seed)."""
        groups = self.scores.groupby("metric", sort=False)
        return {str(name): rows.set_index(["prompt_id", "seed"]) for name, rows in groups}

    @cached_property
    def grid(self) -> Grid:
        """All scores as matrices, a row per planned sample."""
        index = pd.MultiIndex.from_frame(self.samples[["prompt_id", "seed"]])
        names = [name for name, info in self.metrics.items() if info.kind != "distribution"]
        columns = {name: i for i, name in enumerate(names)}
        values = np.full((len(index), len(names)), np.nan)
        applies = np.ones((len(index), len(names)), bool)
        scores = self.scores
        column = scores["metric"].map(columns)
        known = column.notna().to_numpy()
        rows = index.get_indexer(pd.MultiIndex.from_frame(scores[["prompt_id", "seed"]]))[known]
        places = (rows, column.to_numpy()[known].astype(np.intp))
        status = scores["status"].to_numpy()[known]
        values[places] = np.where(status == "ok", scores["value"].to_numpy(np.float64)[known], np.nan)
        excused = scores["reason"].isin(list(BECAUSE_OF_THE_PROMPT)).to_numpy()[known]
        applies[places] = ~((status == "skipped") & excused)
        return Grid(index, columns, values, applies)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Two numbers of a metric may be compared only where this is equal."""
        return {name: metric_digest(info) for name, info in self.metrics.items()}

    @classmethod
    def of_table(cls, label: str, table: pd.DataFrame, metrics: Sequence[MetricInfo]) -> RunScores:
        """Someone else's scores: a row per sample with its `prompt_id`, perhaps `seed`, `category` and
        `text`, and a column per metric by its id. NaN is a score that is missing, as from a failed sample.

        Raises `UsageError` for a table without prompts, a metric without a column, or a sample that is there
        twice."""
        if lacks := [n for n in ("prompt_id", *(info.id for info in metrics)) if n not in table]:
            raise UsageError(f"{label}: the table has no column {', '.join(lacks)}")
        table = table.reset_index(drop=True)
        for name, value in (("seed", 0), ("category", "uncategorised"), ("text", table["prompt_id"])):
            if name not in table:
                table[name] = value
        if table.duplicated(["prompt_id", "seed"]).any():
            raise UsageError(f"{label}: a prompt and seed stand in the table twice")
        at = table[["prompt_id", "seed", "category"]]
        nothing = dict.fromkeys(SAMPLE_COLUMNS[SAMPLE_COLUMNS.index("sha256") :])
        samples = at.assign(status="ok", reason=None, message="", **nothing)
        parts = []
        for info in metrics:
            value = table[info.id].astype("float64")
            ok = value.notna()
            parts.append(
                at.assign(
                    metric=info.id, status=np.where(ok, "ok", "missing"), value=value, recorded=ok,
                    reason=ok.map({True: None, False: Reason.NOT_SCORED}),
                    message=ok.map({True: "", False: "was not scored"}),
                )
            )  # fmt: skip
        prompts = {
            str(p): Prompt(id=p, text=text, category=c)
            for p, text, c in table[["prompt_id", "text", "category"]].itertuples(index=False)
        }
        return cls(
            label=label, generator=label, normalization="native", prompts=prompts,
            samples=samples[SAMPLE_COLUMNS], scores=pd.concat(parts, ignore_index=True)[SCORE_COLUMNS],
            metrics={info.id: info for info in metrics},
        )  # fmt: skip

    def counted(self, status: str) -> int:
        """How many samples have a status."""
        return int((self.samples["status"] == status).sum())

    def mean_of(self, column: str) -> float | None:
        """The mean of a number about samples, over those that have it."""
        if column not in self.samples:
            return None
        values = self.samples[column].dropna()
        return float(values.astype(float).mean()) if len(values) else None


def load_runs(
    paths: Sequence[Path], normalization: Normalization | None = None, allow_outside: bool = False
) -> list[RunScores]:
    """Read run folders under one normalization: the given one, else `native`, else the only one they share.

    Runs that share none are read each under its own, and nothing of them is comparable. Raises `UsageError`
    for a normalization that a run was not scored under, or where there are several to choose from.
    """
    runs = [RunFolder(path, allow_outside) for path in paths]
    labels = labels_of([run.path for run in runs])
    return [_read(run, label, name) for run, label, name in zip(runs, labels, _chosen(runs, normalization),
                                                                strict=True)]  # fmt: skip


def _chosen(runs: Sequence[RunFolder], normalization: Normalization | None) -> list[str]:
    """The normalization under which each run is read."""
    if normalization is not None:
        for run in runs:
            if str(normalization) not in run.info.metrics:
                had = ", ".join(run.info.metrics) or "none"
                raise UsageError(
                    f"{run.path}: has no scores under {normalization} (it has: {had}); make them with"
                    f" `t2v-evals score {run.path} --normalize {normalization}`"
                )
        return [str(normalization)] * len(runs)
    shared = set.intersection(*(set(r.info.metrics) for r in runs)) if runs else set()
    if "native" in shared:
        return ["native"] * len(runs)
    if len(shared) > 1:
        raise UsageError(
            f"the runs share several normalizations; choose one: --normalize {' | '.join(sorted(shared))}"
        )
    if shared:
        return list(shared) * len(runs)
    return [next(iter(r.info.metrics), "native") for r in runs]


@bulk()
def _read(run: RunFolder, label: str, normalization: str) -> RunScores:
    """Samples and scores of a run folder, a row for each that was planned."""
    samples = run.samples()
    values = run.values(normalization, samples)
    metrics = dict(run.info.metrics.get(normalization, {}))
    video = [name for name, info in metrics.items() if info.kind == "video"]
    ids = run.sample_ids()
    table = pd.DataFrame(
        [_sample_row(at, run.prompts[at[0]].category, samples.get(at)) for at in ids], columns=SAMPLE_COLUMNS
    )
    scores, notes, parts = _scores(ids, table, video, values)
    return RunScores(
        label=label, generator=run.info.label, normalization=normalization, prompts=run.prompts,
        samples=table, scores=scores, metrics=metrics, notes=notes, parts=parts,
        calibrations=run.info.calibrations, generated=run.info.generated,
        scored=run.info.scored.get(normalization), folder=run, videos=samples.ok(),
    )  # fmt: skip


def _sample_row(at: SampleId, category: str, sample: Sample | None) -> tuple[Any, ...]:
    facts = sample.actual if sample else None
    shape = (facts.width, facts.height, facts.frames, facts.fps, facts.duration) if facts else (None,) * 5
    spent = (sample.bytes, sample.wall_seconds, sample.cost) if sample else (None,) * 3
    return (*at, category, *_status(sample), sample.sha256 if sample else None, *shape, *spent)


def _scores(
    ids: Sequence[SampleId], samples: pd.DataFrame, video: Sequence[str], values: Values
) -> tuple[pd.DataFrame, list[_Note], list[_Part]]:
    """The table of scores, a row for each sample and metric in this order, with notes and sub-scores."""
    shape = len(ids), len(video)
    has_video = (samples["status"] == "ok").to_numpy()
    columns = {name: np.empty(shape, object) for name in ("status", "reason", "message")}
    not_scored = {"status": "missing", "reason": Reason.NOT_SCORED, "message": "was not scored"}
    for name, said in not_scored.items():
        columns[name][:] = samples[name].astype(object).where(~has_video, said).to_numpy()[:, None]
    value, recorded = np.full(shape, np.nan), np.zeros(shape, bool)
    notes: list[tuple[int, _Note]] = []  # after the sample's place
    parts: list[tuple[int, _Part]] = []
    for place, name in enumerate(video):
        numbers, records = values.column(name, ids)
        plain = np.isfinite(numbers) & has_video
        value[plain, place], recorded[plain, place] = numbers[plain], True
        columns["status"][plain, place], columns["message"][plain, place] = "ok", ""
        columns["reason"][plain, place] = None
        for row, score in records.items():
            at = ids[row]
            notes += [(row, (*at, name, note)) for note in score.notes]
            parts += [(row, (at[0], name, part, x)) for part, x in score.parts.items()]
            if has_video[row]:
                recorded[row, place] = True
                value[row, place] = np.nan if score.value is None else score.value
                for key in columns:
                    columns[key][row, place] = getattr(score, key)
    by_sample = {
        name: np.repeat(samples[name].to_numpy(), len(video)) for name in ("prompt_id", "seed", "category")
    }
    table = pd.DataFrame(
        {
            **by_sample, "metric": np.tile(np.array(video, object), len(ids)), "value": value.ravel(),
            **{name: column.ravel() for name, column in columns.items()}, "recorded": recorded.ravel(),
        }
    )[SCORE_COLUMNS]  # fmt: skip
    return table, _ordered(notes), _ordered(parts)


def _ordered(pairs: list[tuple[int, T]]) -> list[T]:
    return [one for _, one in sorted(pairs, key=lambda pair: pair[0])]


def _status(sample: Sample | None) -> tuple[str, Reason | None, str]:
    if sample is None:
        return "missing", Reason.NEVER_GENERATED, "was never generated"
    return sample.status, sample.reason, sample.message


def labels_of(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the runs' paths that tell them apart. Raises `UsageError` for one given twice."""
    paths = [run.resolve() for run in runs]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise UsageError(f"{runs[i]}: is given twice")
    labels = []
    for path in paths:
        depth = 1
        while sum(p.parts[-depth:] == path.parts[-depth:] for p in paths) > 1:
            depth += 1
        labels.append("/".join(path.parts[-depth:]))
    return labels


def why_not_comparable(a: MetricInfo, b: MetricInfo) -> tuple[Reason, str]:
    """Why two runs' numbers of one metric don't compare."""
    if a.normalization != b.normalization:
        message = f"scored under other normalizations: {a.normalization} and {b.normalization}"
        return Reason.OTHER_NORMALIZATION, message
    if a.spec != b.spec:
        message = f"other versions of the metric: {a.spec.version} and {b.spec.version}"
        return Reason.OTHER_METRIC_VERSION, message
    for need, spec in a.extractors.items():
        other = b.extractors.get(need)
        if other is not None and other != spec:
            changed = [k for k in spec.params if spec.params.get(k) != other.params.get(k)]
            what = f"version {spec.version} and {other.version}" if spec.version != other.version else ""
            message = f"{need} differs: {what or ', '.join(changed) or 'other parameters'}"
            return Reason.OTHER_EXTRACTOR, message
    return Reason.OTHER_EXTRACTOR, "other extractors"
