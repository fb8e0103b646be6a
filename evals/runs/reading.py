"""Reads journals of samples and scores: what holds now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evals.errors import RunError
from evals.records import MetricInfo, Prompt, Sample, Score, ScoreLine
from evals.runs import index, journal
from evals.runs.bulk import bulk
from evals.runs.current import Entry, Lines, SampleId, Samples, Segment, Value, Values
from evals.runs.info import valid
from evals.runs.journal import Mark
from evals.runs.keys import fields_digest, metric_digest, text_digest


@bulk()
def read_samples(
    segments: Iterable[Path],
    prompts: Mapping[str, Prompt],
    seeds: Mapping[str, tuple[int, ...]],
    known: index.KnownSamples | None = None,
) -> Samples:
    """The current sample of every (prompt, seed) that has one. In a segment the last record holds; of several
    segments `ok` wins, then the higher attempt. Samples made from other words than the prompt's are left out.
    Of segments that are `known`, what follows is read."""
    words = _Words(prompts)
    lines = known.lines if known else Lines()
    read = {}
    found: dict[SampleId, Entry] = {}
    for path in (paths := list(segments)):
        mine, mark = known.segment(path) if known else Segment({}, None)
        for line in journal.lines(path, mark):
            sample = valid(Sample, line.record, f"{path}:{line.number}")
            if sample.seed not in seeds.get(sample.prompt_id, ()):
                raise RunError(
                    f"{path}:{line.number}: run.json does not have prompt {sample.prompt_id}, seed"
                    f" {sample.seed}: it is older than this file; restore the newer one"
                )
            at = words.ids.get(sample.prompt_id, sample.prompt_id), sample.seed
            if before := mine.get(at):
                lines.drop(before.row)
            if sample.text_digest == words[sample.prompt_id]:
                mine[at] = Entry(sample.status, sample.sha256 or "", sample.attempts, lines.add(line.json))
            else:
                mine.pop(at, None)
            mark = line.mark or mark
        read[index.name_of(path)] = Segment(mine, mark)
        if not found:
            found = mine if len(paths) == 1 else dict(mine)
            continue
        for at, entry in mine.items():
            if at not in found or entry.rank > found[at].rank:
                found[at] = entry
    return Samples(found, lines, read, known.marks if known else None)


class _Words(dict[str, str]):
    """The digest of each prompt's words, by its id."""

    def __init__(self, prompts: Mapping[str, Prompt]) -> None:
        super().__init__()
        self._prompts, self.ids = prompts, {name: name for name in prompts}

    def __missing__(self, name: str) -> str:
        prompt = self._prompts.get(name)
        self[name] = found = text_digest(prompt) if prompt else ""
        return found


@bulk()
def read_values(
    segments: Iterable[Path],
    normalization: str,
    metrics: Mapping[str, MetricInfo],
    prompts: Mapping[str, Prompt],
    samples: Samples,
    known: index.KnownValues | None = None,
) -> Values:
    """Current scores under one normalization: of the sample's bytes, the metric's version and the prompt's
    values as they are now. Of several, `ok` wins, then the latest. Of segments that are `known`, what follows
    is read."""
    names = {name: (name, metric_digest(info), info.reads) for name, info in metrics.items()}
    fields: dict[tuple[str, tuple[str, ...]], str] = {}
    found = Values(metrics, samples, *((known.stored, known.marks) if known else ()))
    found.others.update(known.others if known else ())
    for path in segments:
        mark: Mark | None = known.marks.get(index.name_of(path)) if known else None
        for line in journal.lines(path, mark):
            mark, record, where = line.mark or mark, line.record, f"{path}:{line.number}"
            at = record.get("prompt_id", ""), record.get("seed", 0)
            if record.get("normalization") != normalization:
                continue
            if not (sha256 := record.get("sha256")) or sha256 != samples.sha256(at):
                found.others.add(at)
                continue
            for asked, raw in _scores(record, where):
                name, digest, reads = names.get(asked, ("", "", ()))
                if not name or raw.get("metric_digest", "") != digest:
                    continue
                of = (at[0] if reads else "", reads)
                if of not in fields:
                    fields[of] = fields_digest(prompts[at[0]], reads)
                if raw.get("fields_digest", "") == fields[of]:
                    found.put(at, name, _value(raw, where))
        if mark:
            found.marks[index.name_of(path)] = mark
    return found


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


def as_score(value: Value, metric_digest: str = "", fields_digest: str = "") -> Score:
    """The whole record of a score."""
    if isinstance(value, Score):
        return value
    return Score(status="ok", value=value, metric_digest=metric_digest, fields_digest=fields_digest)
