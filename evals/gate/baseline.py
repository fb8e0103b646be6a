"""The baseline file: made of a run, read back, and looked at as a run's scores.

Its last field is a hash of all others, so a file that was cut or edited is refused and never half read."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from evals.compare.costs import FAILURE, REFUSAL
from evals.compare.distributions import recorded_metric
from evals.compare.judges import judged
from evals.compare.run_scores import SAMPLE_COLUMNS, SCORE_COLUMNS, RunScores
from evals.compare.vector_sets import Vectors
from evals.compare.vectors import vectors_of
from evals.errors import BaselineError, MetricError, OtherSchema, Reason, UsageError, nearest
from evals.executors import Source
from evals.gate.margins import spread_between
from evals.gate.platform import platform_of
from evals.gate.records import SCHEMA, Absent, Baseline, BaselineSample, VectorSet
from evals.records import MetricInfo, digest, explain, file_sha256, is_regular
from evals.runs.current import SampleId
from evals.runs.folder import RunFolder
from evals.runs.journal import write_atomically
from evals.runs.provenance import now
from evals.runs.secrets import redacted

MOST_BYTES = 500_000_000


RATES = {FAILURE.id: FAILURE, REFUSAL.id: REFUSAL}
"""How many samples failed or were refused: always among the metrics that decide."""


def deciding(
    metrics: Mapping[str, MetricInfo], chosen: Sequence[str] | None, margins: Mapping[str, object]
) -> dict[str, MetricInfo]:
    """The metrics that decide: the `chosen` ones, else the primary ones, and the rates. A distribution metric
    is among them where it has a margin: a distance has no spread between prompts to take one from. A judge's
    are not among them: its controls are of one run and one day. Raises `UsageError`."""
    for name in chosen or ():
        if name not in metrics:
            raise UsageError(f"--primary {name}: the run was not scored with it{nearest(name, metrics)}")
        if metrics[name].direction == "none":
            raise UsageError(f"--primary {name}: has no better or worse")
        if judged(metrics[name]):
            raise UsageError(f"--primary {name}: a gate asks no judge; `t2v-evals compare` reads its numbers")
        if metrics[name].kind == "distribution" and name not in margins:
            raise UsageError(
                f"--primary {name}: a distance has no spread between prompts, so it needs a margin of its"
                f" own: --margin '{name}=…'"
            )
    found = {
        name: info
        for name, info in metrics.items()
        if (info.role == "primary" if chosen is None else name in chosen)
        and (info.kind == "video" or (info.kind == "distribution" and name in margins))
        and not judged(info)
    }
    return {**found, **RATES}


def infos(baseline: Baseline) -> dict[str, MetricInfo]:
    """The records of the metrics that decide."""
    known = {**baseline.metrics, **RATES}
    return {name: known[name] for name in baseline.primary}


def of_run(
    run: RunScores,
    name: str,
    primary: Sequence[str],
    margins: Mapping[str, float],
    tier: str = "",
    platform: Mapping[str, str] | None = None,
) -> Baseline:
    """A baseline of a run's scores, with these margins. Raises `BaselineError` for a run without scores."""
    if run.folder is None or not run.metrics:
        raise BaselineError(f"{run.label}: has no scores; make them with `t2v-evals score`")
    places = {at: i for i, at in enumerate(zip(run.samples["prompt_id"], run.samples["seed"], strict=True))}
    samples = [
        BaselineSample(
            prompt_id=row["prompt_id"], seed=int(row["seed"]), status=row["status"],
            reason=_text(row["reason"]), message=_text(row["message"]) or "", sha256=_text(row["sha256"]),
            seconds=_number(row["wall_seconds"]),
            cost=_number(row["cost"]),
        )
        for row in run.samples.to_dict("records")
    ]  # fmt: skip
    scores: dict[str, list[float | None]] = {}
    absent: dict[str, dict[int, Absent]] = {}
    kept = {metric: info for metric, info in run.metrics.items() if not judged(info)}
    for row in run.scores[run.scores["metric"].isin(kept)].to_dict("records"):
        metric, place = row["metric"], places[row["prompt_id"], row["seed"]]
        values = scores.setdefault(metric, [None] * len(samples))
        if row["status"] == "ok":
            values[place] = float(row["value"])
        elif samples[place].status == "ok":
            why = Absent(
                status=row["status"], reason=_text(row["reason"]), message=_text(row["message"]) or ""
            )
            absent.setdefault(metric, {})[place] = why
    return Baseline(
        name=name, made=now(), run=run.label, run_id=run.folder.info.id, generator=run.folder.info.generator,
        settings=run.folder.info.settings, normalization=run.normalization,
        platform=platform_of(run.folder.info, platform), generated=run.generated, scored=run.scored,
        prompts=tuple(run.prompts.values()), samples=tuple(samples), metrics=kept,
        scores={metric: tuple(values) for metric, values in scores.items()}, absent=absent,
        primary=tuple(primary), margins=dict(margins), tier=tier, vectors=_vector_sets(run, primary),
    )  # fmt: skip


def _text(value: Any) -> Any:
    """A text, or None: a table's missing one may be NaN."""
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _vector_sets(run: RunScores, primary: Sequence[str]) -> dict[str, VectorSet]:
    """Features of every distribution metric that decides, so that a baseline needs no run folder."""
    found = {}
    for name, info in run.metrics.items():
        if info.kind != "distribution" or name not in primary:
            continue
        try:
            vectors = vectors_of(run, name, recorded_metric(name, info))
        except MetricError:
            continue  # another version of the metric: the check says so
        if vectors.rows:
            data = np.stack(vectors.rows).astype("<f4")
            found[name] = VectorSet(
                data=base64.b64encode(data.tobytes()).decode(), dimensions=data.shape[1],
                prompts=tuple(vectors.prompts), hashes=tuple(vectors.hashes), outside=vectors.outside,
                videos=vectors.videos,
            )  # fmt: skip
    return found


def vectors(baseline: Baseline, metric: str) -> Vectors:
    """The baseline's features for a distribution metric that it has some of. Raises `BaselineError`."""
    kept = baseline.vectors[metric]
    try:
        data = np.frombuffer(base64.b64decode(kept.data, validate=True), "<f4")
        rows = data.astype(np.float64).reshape(len(kept.prompts), kept.dimensions)
    except (ValueError, binascii.Error):
        raise BaselineError(f"{baseline.name}: its features of {metric} cannot be read") from None
    categories = {prompt.id: prompt.category for prompt in baseline.prompts}
    return Vectors(
        list(rows), list(kept.prompts), [categories.get(p, "") for p in kept.prompts], list(kept.hashes),
        [], kept.outside, kept.videos,
    )  # fmt: skip


def as_scores(baseline: Baseline) -> RunScores:
    """The baseline as a run's scores, which comparing needs."""
    categories = {prompt.id: prompt.category for prompt in baseline.prompts}
    samples = pd.DataFrame(
        [
            (s.prompt_id, s.seed, categories.get(s.prompt_id, ""), s.status, s.reason, s.message, s.sha256)
            + (None,) * 6
            + (s.seconds, s.cost)
            for s in baseline.samples
        ],
        columns=SAMPLE_COLUMNS,
    )
    rows: list[tuple[Any, ...]] = []
    for metric, values in baseline.scores.items():
        why = baseline.absent.get(metric, {})
        for place, (sample, value) in enumerate(zip(baseline.samples, values, strict=True)):
            at = (sample.prompt_id, sample.seed, categories.get(sample.prompt_id, ""), metric)
            if value is not None:
                rows.append((*at, "ok", value, None, "", True))
            elif sample.status != "ok":
                rows.append((*at, sample.status, None, sample.reason, sample.message, False))
            else:
                one = why.get(place, Absent(status="missing", reason=Reason.NOT_SCORED))
                rows.append((*at, one.status, None, one.reason, one.message, True))
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    return RunScores(
        label=baseline.name, generator=baseline.generator.name, normalization=baseline.normalization,
        prompts={prompt.id: prompt for prompt in baseline.prompts}, samples=samples,
        scores=table.astype({"value": "float64", "recorded": "bool"}),
        metrics=baseline.metrics, generated=baseline.generated, scored=baseline.scored,
        vectors={name: vectors(baseline, name) for name in baseline.vectors},
    )  # fmt: skip


def by_prompt(baseline: Baseline, metric: str) -> pd.Series[float]:
    """Means over the seeds of each prompt that has a score."""
    if metric in (FAILURE.id, REFUSAL.id):
        states = ("refused",) if metric == REFUSAL.id else ("failed", "missing")
        values: Sequence[float | None] = [float(s.status in states) for s in baseline.samples]
    else:
        values = baseline.scores.get(metric, (None,) * len(baseline.samples))
    table = pd.DataFrame({"prompt": [s.prompt_id for s in baseline.samples], "value": values})
    return table.dropna().astype({"value": "float64"}).groupby("prompt")["value"].mean()


def spreads(baseline: Baseline, metrics: Mapping[str, MetricInfo]) -> dict[str, float]:
    """The standard deviation between prompts of each metric scored by samples."""
    return {
        name: spread_between(np.asarray(by_prompt(baseline, name), np.float64))
        for name, info in metrics.items()
        if info.kind != "distribution"
    }


def design(baseline: Baseline) -> tuple[int, int]:
    """How many prompts have a video, and how many seeds of each (the least of any)."""
    seeds: dict[str, int] = {}
    for sample in baseline.samples:
        if sample.status == "ok":
            seeds[sample.prompt_id] = seeds.get(sample.prompt_id, 0) + 1
    return len(seeds), min(seeds.values(), default=0)


# --- files ---


def write(baseline: Baseline, path: Path) -> None:
    """Write the file in one piece. Raises `BaselineError`."""
    data = redacted(baseline.model_dump(mode="json", by_alias=True))
    text = json.dumps({**data, "check": digest(data)}, indent=1, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise BaselineError(f"{path}: cannot be written: {error.strerror}") from None


def read(path: Path) -> Baseline:
    """A baseline file. Raises `BaselineError` for one that is missing, damaged or edited, `OtherSchema` for
    one of another version."""
    if not is_regular(path):
        raise BaselineError(f"{path}: no such baseline; make one with `t2v-evals gate baseline RUN`")
    if path.stat().st_size > MOST_BYTES:
        raise BaselineError(f"{path}: is larger than {MOST_BYTES:,} bytes, which no baseline is")
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: is damaged ({error}); restore it from a copy") from None
    if not isinstance(data, dict) or "schema" not in data:
        raise BaselineError(f"{path}: is not a baseline file")
    if data["schema"] != SCHEMA:
        raise OtherSchema(
            f"{path}: has schema {data['schema']!r:.40}, this version reads {SCHEMA}; make it again with"
            " `t2v-evals gate baseline`"
        )
    if data.pop("check", None) != digest(data):
        raise BaselineError(f"{path}: is damaged or was edited: its check does not hold")
    try:
        found = Baseline.model_validate(data)
    except ValidationError as error:
        raise BaselineError(f"{path}: not a baseline of this suite ({explain(error):.500})") from None
    if any(len(values) != len(found.samples) for values in found.scores.values()):
        raise BaselineError(f"{path}: its scores and samples are not of one number")
    return found


# --- clips ---


def keep_clips(baseline: Baseline, run: RunFolder, path: Path) -> Baseline:
    """The baseline with copies of its clips in a folder beside the file, named by their hash."""
    folder = path.with_suffix(".clips")
    folder.mkdir(parents=True, exist_ok=True)
    for sample in run.samples().values():
        if sample.status == "ok" and sample.sha256:
            source = run.video_path(sample)
            target = folder / f"{sample.sha256}{source.suffix}"
            if not target.exists():
                partial = target.with_name(f".{target.name}.partial")
                shutil.copyfile(source, partial)
                if file_sha256(partial) != sample.sha256:
                    partial.unlink()
                    raise BaselineError(f"{source}: has changed since it was recorded; run `generate` again")
                partial.replace(target)
    return baseline.model_copy(update={"clips": folder.name})


def clips_of(baseline: Baseline, path: Path) -> dict[SampleId, Source]:
    """The baseline's clips, by prompt and seed, beside its file; without those that are not there."""
    if baseline.clips is None or Path(baseline.clips).name != baseline.clips:
        return {}
    places = {one.stem: one for one in sorted((path.parent / baseline.clips).glob("[!.]*"))}
    return {
        (s.prompt_id, s.seed): Source(s.sha256, places[s.sha256])
        for s in baseline.samples
        if s.sha256 is not None and s.sha256 in places
    }
