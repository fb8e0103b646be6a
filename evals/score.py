"""Rows and prompt to numbers: brings a run's scores up to date.

Scores are written one line per video, after the rows they come from are on the disk. What is recorded
as `ok` or `skipped` for the same bytes, metric and prompt is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evals import metrics
from evals.decoding.pool import Pool
from evals.encoders import CrossEncoder, Encoder, TextEncoder, resolve
from evals.errors import RunError, UsageError
from evals.extract import (
    Extractors,
    Problem,
    Problems,
    Source,
    extract,
    extract_texts,
    feature_key,
    read_notes,
    text_key,
)
from evals.features import FeatureStore, Rows
from evals.folds import FOLDS
from evals.generate import Retry
from evals.journal import Journal
from evals.metrics import SetMetric, Skip, VideoMetric
from evals.records import MetricInfo, Prompt, Sample, Score, ScoreLine, View, file_sha256, is_regular
from evals.rundir import RunDir, SampleId, read_fields

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metrics:
    """Metrics with the extractors they need, all found and ready before any work starts."""

    video: Mapping[str, VideoMetric] = field(default_factory=dict)
    sets: Mapping[str, SetMetric] = field(default_factory=dict)
    extractors: Extractors = field(default_factory=Extractors)

    def infos(self, view: View, texts: Iterable[str] = ()) -> dict[str, MetricInfo]:
        """Readers' records of all metrics under one view, for a run of prompts with these texts."""
        specs = self.extractors.specs(texts)
        both: dict[str, VideoMetric | SetMetric] = {**self.video, **self.sets}
        return {name: metrics.info(name, metric, specs, view) for name, metric in both.items()}


def prepare(metric_ids: Sequence[str], weights: Mapping[str, Path], precision: str = "fp32") -> Metrics:
    """Find metrics, extractors and weight files. `precision` is that of the encoders, `fp32` or `bf16`.

    Raises `UnknownName`, `UsageError` or `WeightsError`; unused `weights` are an error too.
    """
    video: dict[str, VideoMetric] = {}
    sets: dict[str, SetMetric] = {}
    folds: dict[str, None] = {}
    encoders: dict[str, Encoder] = {}
    made = {name: metrics.create(name) for name in metric_ids}
    for name, metric in made.items():
        if isinstance(metric, VideoMetric):
            video[name] = metric
        else:
            sets[name] = metric
        for need in metric.needs:
            kind, _, what = need.partition(":")
            if kind == "fold":
                FOLDS.get(what)
                folds[what] = None
            elif what not in encoders:
                encoders[what] = resolve(what, weights, precision)
            if kind in ("text", "texts") and not isinstance(encoders[what], TextEncoder):
                raise UsageError(f"{name}: the encoder {what!r} has no text side")
            if kind == "cross" and not isinstance(encoders[what], CrossEncoder):
                raise UsageError(f"{name}: the encoder {what!r} does not relate a text to a video")
    for name in weights:
        if not any(name in (used, used.rpartition(":")[0]) for used in encoders):
            raise UsageError(f"--weights {name}: no metric that was asked for uses this encoder")
    return Metrics(video, sets, Extractors(tuple(folds), encoders))


@dataclass
class _Item:
    """What is missing for one sample."""

    at: SampleId
    sample: Sample
    prompt: Prompt
    metrics: list[str]


class _Scoring:
    def __init__(
        self,
        run: RunDir,
        chosen: Metrics,
        view: View,
    ) -> None:
        self.run, self.chosen, self.view, self.written = run, chosen, view, 0
        self.texts = sorted({p.text for p in run.info.prompts})
        self.infos = chosen.infos(view, self.texts)
        self.specs = chosen.extractors.specs(self.texts)
        self.store = FeatureStore(run.features)
        self.gathered: dict[str, Rows] = {}
        self.unread: Problems = {}  # texts that an encoder has nothing for, by text key
        self.samples = {at: s for at, s in run.samples().items() if s.outcome == "ok"}

    def items(self, retry: Retry, rescore: bool) -> list[_Item]:
        """Every video of the run, each with the metrics that are missing for it."""
        recorded = {} if rescore else self.run.scores(str(self.view), self.samples)
        prompts = {p.id: p for p in self.run.info.prompts}
        found = []
        for at in self.run.info.sample_ids():
            if at not in self.samples:
                continue
            have = recorded.get(at, {})
            missing = [m for m in self.chosen.video if _due(have.get(m), retry)]
            found.append(_Item(at, self.samples[at], prompts[at[0]], missing))
        return found

    def key(self, item: _Item, need: str) -> str:
        if need.startswith("text:"):
            return text_key(item.prompt.text, self.specs[need])
        assert item.sample.sha256 is not None
        return feature_key(item.sample.sha256, self.specs[need], self.view)

    def lacks_rows(self, item: _Item) -> bool:
        """Whether the video must be decoded. Sets need their encoder's rows of every video."""
        needs = {n for m in item.metrics for n in self.chosen.video[m].needs}
        needs |= {n for m in self.chosen.sets.values() for n in m.needs}
        return any(self.key(item, n) not in self.store for n in needs if _of_video(n))

    def write(self, journal: Journal, item: _Item, problems: Problems) -> None:
        """Score one sample and journal it."""
        if not item.metrics:
            return
        assert item.sample.sha256 is not None
        notes = read_notes(self.store, item.sample.sha256, self.view)
        line = ScoreLine(
            prompt_id=item.at[0],
            seed=item.at[1],
            sha256=item.sample.sha256,
            view=str(self.view),
            scores={m: self._score(m, item, problems, notes) for m in item.metrics},
        )
        journal.append({"schema": line.schema_, **line.to_json()})
        self.written += 1

    def _rows(self, need: str, item: _Item, known: Mapping[str, Rows]) -> Rows:
        """The rows of a need; those before it in the metric's list are known."""
        kind, _, what = need.partition(":")
        if kind == "texts":
            return self._all_texts(what)
        if kind == "cross":
            encoder = self.chosen.extractors.encoders[what]
            assert isinstance(encoder, CrossEncoder)
            return encoder.cross(known[f"encoder:{what}"], known[f"text:{what}"])
        return self.store.get(self.key(item, need))

    def _all_texts(self, encoder: str) -> Rows:
        """Text features (n, d) of all of the run's prompts that the encoder has any for."""
        if encoder not in self.gathered:
            keys = [text_key(text, self.specs[f"text:{encoder}"]) for text in self.texts]
            found = [self.store.get(key) for key in keys if key in self.store]
            self.gathered[encoder] = {n: np.concatenate([rows[n] for rows in found]) for n in found[0]}
        return self.gathered[encoder]

    def _score(self, name: str, item: _Item, problems: Problems, notes: tuple[str, ...]) -> Score:
        metric = self.chosen.video[name]
        stamp = {"spec": self.infos[name].digest, "reads": read_fields(item.prompt, metric.reads)}
        for need in metric.needs:
            if need.startswith(("cross:", "texts:")):
                continue  # made of what the others are
            text = need.startswith("text:")
            problem = self.unread.get(self.key(item, need)) if text else problems.get(need)
            if problem is not None:
                status = "skipped" if problem.skip else "failed"
                return Score.model_validate(
                    {"status": status, "reason": problem.reason, "transient": problem.transient, **stamp}
                )
        try:
            rows: dict[str, Rows] = {}
            for need in metric.needs:
                rows[need] = self._rows(need, item, rows)
            result = metric.score(rows, item.prompt)
            if isinstance(result, Skip):
                return Score.model_validate({"status": "skipped", "reason": result.reason, **stamp})
            return Score.model_validate(
                {"status": "ok", "value": float(result.value), "notes": notes + result.notes, **stamp}
            )
        except RunError:
            raise  # a damaged shard is the run's trouble, not this score's
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric's fault costs this score alone
            reason = f"{type(error).__name__}: {error}"
            return Score.model_validate({"status": "failed", "reason": reason, **stamp})


def _of_video(need: str) -> bool:
    """Whether an extractor's rows come from the video alone."""
    return need.startswith(("fold:", "encoder:"))


def _due(before: Score | None, retry: Retry) -> bool:
    if before is None:
        return True
    if before.status != "failed":
        return False
    return retry == "all" or (retry == "transient" and before.transient)


def score(
    run: RunDir,
    chosen: Metrics,
    view: View,
    pool: Pool,
    device: str,
    retry: Retry = "transient",
    rescore: bool = False,
    begin: Callable[[int], None] | None = None,
    progress: Callable[[bool], None] | None = None,
) -> int:
    """Score what is missing of a run; gives the number of lines written.

    `begin` is told how many videos there are to score, `progress` is called for each one that is
    through, with whether something failed. The caller holds the run's lock.
    """
    known = dict(run.info.metrics)
    work = _Scoring(run, chosen, view)
    known[str(view)] = {**known.get(str(view), {}), **work.infos}
    run.update(metrics=known)
    step = progress or (lambda failed: None)
    items = work.items(retry, rescore)
    if begin:
        begin(sum(bool(item.metrics) or work.lacks_rows(item) for item in items))
    needs = {n.partition(":")[0] for m in chosen.video.values() for n in m.needs}
    if "text" in needs:
        texts = work.texts if "texts" in needs else [item.prompt.text for item in items if item.metrics]
        work.unread = extract_texts(texts, chosen.extractors, work.store, device)
    with Journal(run.path / "scores.jsonl") as journal:
        waiting: dict[str, list[_Item]] = {}
        sources: list[Source] = []
        for item in items:
            if not work.lacks_rows(item):
                work.write(journal, item, {})
                if item.metrics:
                    step(False)
                continue
            source = Source(str(item.sample.sha256), run.video_path(item.sample))
            changed = _changed(source) if source.sha256 not in waiting else None
            if changed is not None:
                work.write(journal, item, _of_every_need(chosen, changed))
                step(True)
                continue
            if source.sha256 not in waiting:
                sources.append(source)
            waiting.setdefault(source.sha256, []).append(item)

        def finished(source: Source, problems: Problems) -> None:
            for item in waiting.pop(source.sha256):
                work.write(journal, item, problems)

        def through(source: Source, failed: bool) -> None:
            for _ in waiting[source.sha256]:
                step(failed)

        cost = extract(sources, chosen.extractors, work.store, view, pool, device, finished, through)
    log.info("%s: %s", run.path, cost)
    return work.written


def _of_every_need(chosen: Metrics, problem: Problem) -> Problems:
    """The same problem for every need that comes from the video."""
    return dict.fromkeys((n for n in chosen.extractors.specs() if _of_video(n)), problem)


def _changed(source: Source) -> Problem | None:
    """A video that is gone or is another one than was recorded must not be scored."""
    try:
        if not is_regular(source.path):
            reason = "the file cannot be read any more: it is gone"
            return Problem(False, f"{source.path.name}: {reason}", transient=True)
        if file_sha256(source.path) == source.sha256:
            return None
        reason = "the file has changed since it was recorded; run `generate` again"
    except OSError as error:
        reason = f"the file cannot be read any more: {error.strerror}"
    return Problem(False, f"{source.path.name}: {reason}", transient=True)
