"""Reads journals of samples and scores: what holds now, in as little memory as a large run needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evals.errors import RunError
from evals.records import MetricInfo, Prompt, Record, Sample, Score, ScoreLine, Settings, VideoFacts
from evals.runs import journal
from evals.runs.bulk import bulk
from evals.runs.info import valid
from evals.runs.keys import fields_digest, metric_digest, text_digest

SampleId = tuple[str, int]
"""Prompt id and seed."""
Value = float | Score
"""A score: of one that is `ok`, without notes or parts, its value alone."""


@bulk()
def read_samples(
    segments: Iterable[Path], prompts: Mapping[str, Prompt], seeds: Mapping[str, tuple[int, ...]]
) -> dict[SampleId, Sample]:
    """The current sample of every (prompt, seed) that has one. In a segment the last record holds; of several
    segments `ok` wins, then the higher attempt. Samples made from other words than the prompt's are left
    out."""
    words = {one.id: text_digest(one) for one in prompts.values()}
    ids = {name: name for name in prompts}
    shared: dict[Any, Record] = {}
    found: dict[SampleId, Sample] = {}
    for path in segments:
        mine: dict[SampleId, Sample] = {}
        for number, record in journal.read(path):
            record["prompt_id"] = ids.get(record.get("prompt_id", ""), record.get("prompt_id"))
            _share(record, "actual", VideoFacts, shared)
            _share(record, "requested", Settings, shared)
            sample = valid(Sample, record, f"{path}:{number}")
            if sample.seed not in seeds.get(sample.prompt_id, ()):
                raise RunError(
                    f"{path}:{number}: run.json does not have prompt {sample.prompt_id}, seed {sample.seed}:"
                    " it is older than this file; restore the newer one"
                )
            if sample.text_digest == words.get(sample.prompt_id):
                mine[sample.prompt_id, sample.seed] = sample
            else:
                mine.pop((sample.prompt_id, sample.seed), None)
        if not found:
            found = mine
            continue
        for at, sample in mine.items():
            if at not in found or _rank(sample) > _rank(found[at]):
                found[at] = sample
    return found


def _rank(sample: Sample) -> tuple[bool, int]:
    return sample.status == "ok", sample.attempts


def _share(record: dict[str, Any], name: str, kind: type[Record], shared: dict[Any, Record]) -> None:
    """Put one record in the place of all equal ones: videos of a run are of few kinds."""
    raw = record.get(name)
    if isinstance(raw, dict):
        key = (name, *raw.items())
        try:
            if key not in shared:
                shared[key] = valid(kind, raw, name)
        except TypeError:  # it holds a list
            return
        record[name] = shared[key]


@bulk()
def read_values(
    segments: Iterable[Path],
    normalization: str,
    metrics: Mapping[str, MetricInfo],
    prompts: Mapping[str, Prompt],
    samples: Mapping[SampleId, Sample],
) -> dict[SampleId, dict[str, Value]]:
    """Current scores under one normalization: of the sample's bytes, the metric's version and the prompt's
    values as they are now. Of several, `ok` wins, then the latest."""
    names = {name: (name, metric_digest(info), info.reads) for name, info in metrics.items()}
    fields: dict[tuple[str, tuple[str, ...]], str] = {}
    found: dict[SampleId, dict[str, Value]] = {}
    for where, record in _lines(segments):
        sample = samples.get((record.get("prompt_id", ""), record.get("seed", 0)))
        if sample is None or sample.sha256 != record.get("sha256"):
            continue
        if record.get("normalization") != normalization:
            continue
        at = sample.prompt_id, sample.seed
        kept = found.setdefault(at, {})
        for asked, raw in _scores(record, where):
            name, digest, reads = names.get(asked, ("", "", ()))
            if not name or raw.get("metric_digest", "") != digest:
                continue
            of = (sample.prompt_id if reads else "", reads)
            if of not in fields:
                fields[of] = fields_digest(prompts[sample.prompt_id], reads)
            if raw.get("fields_digest", "") != fields[of]:
                continue
            score = _value(raw, where)
            if is_ok(score) or name not in kept or not is_ok(kept[name]):
                kept[name] = score
    return found


def _lines(segments: Iterable[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in segments:
        for number, record in journal.read(path):
            yield f"{path}:{number}", record


def _scores(record: dict[str, Any], where: str) -> Iterable[tuple[str, dict[str, Any]]]:
    scores = record.get("scores")
    if not isinstance(scores, dict) or not all(isinstance(one, dict) for one in scores.values()):
        valid(ScoreLine, record, where)  # says what is wrong
        return ()
    return scores.items()


def _value(raw: dict[str, Any], where: str) -> Value:
    value = raw.get("value")
    if len(raw) == 4 and raw.get("status") == "ok" and isinstance(value, float) and math.isfinite(value):
        return value
    return valid(Score, raw, where)


def is_ok(score: Value) -> bool:
    return isinstance(score, float) or score.status == "ok"


def as_score(value: Value, metric_digest: str = "", fields_digest: str = "") -> Score:
    """The whole record of a score."""
    if isinstance(value, Score):
        return value
    return Score(status="ok", value=value, metric_digest=metric_digest, fields_digest=fields_digest)
