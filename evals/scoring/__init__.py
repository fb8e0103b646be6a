"""Features and prompt to numbers: brings a run's scores up to date.

Scores are written one line per video, after the features they come from are on the disk; those that rest on
a judge's answers follow in a line of their own. What is recorded as `ok` or `skipped` for the same bytes,
metric and prompt is not computed again.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.decoding.resources import Progress, Resources
from evals.errors import EvalsWarning, UsageError
from evals.executors import Executor, LocalExecutor, Problems, Source
from evals.extract import Hooks, encode_texts, extract_features
from evals.generate import Retry
from evals.metrics.preparing import Metrics, prepare
from evals.records import Normalization, is_regular
from evals.runs import provenance
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal
from evals.scoring.judging import Judging
from evals.scoring.state import Item, Scoring

__all__ = ["Metrics", "prepare", "score_run"]

log = logging.getLogger(__name__)


def score_run(
    run: RunFolder,
    chosen: Metrics,
    normalization: Normalization | None = None,
    resources: Resources | None = None,
    retry: Retry = "transient",
    rescore: bool = False,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> int:
    """Bring a run's scores up to date; gives the number of videos scored. Without `resources` those of this
    machine are used, and without an `executor` they do the work."""
    if resources is None:
        with Resources() as own:
            return score_run(run, chosen, normalization, own, retry, rescore, progress, executor)
    if chosen.pair:
        raise UsageError(
            f"{next(iter(chosen.pair))} is of two videos, a run beside a baseline: see `gate check`"
        )
    normalization = normalization or Normalization()
    device = resources.checked_device() if chosen.prepared.encoders else "cpu"
    with run.writing():
        started = provenance.now()
        work = Scoring(run, chosen, normalization)
        known = dict(run.info.metrics)
        known[str(normalization)] = {**known.get(str(normalization), {}), **work.infos}
        run.update(metrics=known)
        executor = executor or LocalExecutor(resources, device)
        _work(work, resources, device, executor, retry, rescore, progress or Progress())
        if work.kept:
            warnings.warn(
                f"{run.path}: {len(work.kept)} videos could not be scored again, such as: {work.kept[0]}; the"
                " scores of the bytes that were recorded stay",
                EvalsWarning,
                stacklevel=2,
            )
        changes: dict[str, Any] = {"status": "scored"}
        if work.written:
            made = provenance.record(started)
            changes["scored"] = {**run.info.scored, str(normalization): made}
        run.update(**changes)
        run.keep_index()
    return work.written


def _work(
    work: Scoring,
    resources: Resources,
    device: str,
    executor: Executor,
    retry: Retry,
    rescore: bool,
    progress: Progress,
) -> None:
    """Encode texts, extract what is missing, ask judges, and write lines for every video that lacks a
    score."""
    items = work.items(retry, rescore)
    if work.run.shard and any(item.metrics for item in items):
        work.run.update(status="generated")
    progress.begin("score", sum(bool(item.metrics) or item.lacks_features for item in items))
    work.no_text = encode_texts(_texts(work, items), work.chosen.prepared.encoders, work.store, device)
    with Journal(work.run.segments.own("scores")) as journal:
        judging = Judging(work, journal)
        waiting: dict[str, list[Item]] = {}
        stored: list[Item] = []
        for item in items:
            if item.lacks_features:
                waiting.setdefault(item.of.sha256, []).append(item)
            else:
                stored.append(item)
        sources = [Source(sha256, _place(work, same)) for sha256, same in waiting.items()]
        _write_stored(work, judging, stored, progress)

        def complete(source: Source, problems: Problems) -> None:
            for item in waiting[source.sha256]:
                work.derive(item, problems)

        def committed(source: Source, problems: Problems) -> None:
            for item in waiting.pop(source.sha256):
                judging.write(item, problems)

        def advance(source: Source, failed: bool) -> None:
            for _ in waiting[source.sha256]:
                progress.advance(failed)

        hooks = Hooks(committed, complete, advance)
        cost = extract_features(
            sources, work.chosen.prepared, work.store, work.normalization, executor, hooks
        )
        judging.ask(resources, retry, progress)
    log.info("%s: %s", work.run.path, cost)


def _place(work: Scoring, same: Sequence[Item]) -> Path:
    """Where to read a video that several samples may have: the first place that holds a file."""
    places = [work.run.video_path(work.samples[item.at]) for item in same]
    return next((place for place in places if is_regular(place)), places[0])


def _texts(work: Scoring, items: Sequence[Item]) -> list[str]:
    """The texts that the missing scores need: the prompts', or all of the run's."""
    kinds = {
        source.kind if need.kind != "texts" else "texts"
        for metric in work.chosen.video.values()
        for need in metric.needs
        for source in work.needs.sources(need)
    }
    if "texts" in kinds:
        return work.texts
    return [item.prompt.text for item in items if item.metrics] if "text" in kinds else []


def _write_stored(work: Scoring, judging: Judging, items: Sequence[Item], progress: Progress) -> None:
    """Score the videos whose features are there."""
    for item in items:
        work.derive(item, {})
    work.store.commit()
    for item in items:
        judging.write(item, {})
        if item.metrics:
            progress.advance(False)
