"""Features and prompt to numbers: brings a run's scores up to date.

Scores are written one line per video, after the features they come from are on the disk. What is recorded as
`ok` or `skipped` for the same bytes, metric and prompt is not computed again.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals import extractors, metrics
from evals.decoding.resources import Progress, Resources
from evals.encoders import Precision, Start, derivations, weights_of
from evals.encoders import create as create_encoder
from evals.encoders.base import Encoder
from evals.encoders.published import locate
from evals.errors import DoesNotApply, EvalsWarning, Reason, RunError, UsageError, is_machine_fault
from evals.extract import Hooks, Problem, Problems, Source, encode_texts, extract_features
from evals.extractors.paired import PAIR_EXTRACTORS, create_pair
from evals.generate import Retry, wants_retry
from evals.metrics.base import Clip, DistributionMetric, PromptFields, Skip, VideoMetric
from evals.metrics.fidelity import PairMetric
from evals.metrics.needs import Needs, Prepared, VideoAndText, check_text_side, expanded
from evals.records import (
    MetricInfo,
    Need,
    Normalization,
    Prompt,
    Sample,
    Score,
    ScoreLine,
    is_regular,
)
from evals.runs import provenance
from evals.runs.facts import get_facts
from evals.runs.features import Features, FeatureStore
from evals.runs.folder import RunFolder, SampleId
from evals.runs.journal import Journal
from evals.runs.keys import facts_key, fields_digest, metric_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metrics:
    """Metrics with everything they need, found and ready before any work starts."""

    video: Mapping[str, VideoMetric] = field(default_factory=dict)
    distribution: Mapping[str, DistributionMetric] = field(default_factory=dict)
    pair: Mapping[str, PairMetric] = field(default_factory=dict)
    prepared: Prepared = field(default_factory=Prepared)

    def infos(self, normalization: Normalization, texts: Sequence[str] = ()) -> dict[str, MetricInfo]:
        """Readers' records of all metrics under one normalization, for a run of prompts with these texts."""
        specs = self.prepared.specs(texts)
        both: dict[str, VideoMetric | DistributionMetric] = {**self.video, **self.distribution, **self.pair}
        return {name: metrics.info(name, metric, specs, normalization) for name, metric in both.items()}


def prepare(
    metric_ids: Sequence[str],
    weights: Mapping[str, Path] | None = None,
    precision: Precision = "fp32",
    start: Start = "first",
) -> Metrics:
    """Find metrics, extractors and weight files. `precision` is that of the encoders; with `start="random"`
    encoders of one clip take a random one.

    Raises `UnknownName`, `UsageError` or `WeightsError`; unused `weights` are an error too.
    """
    weights = weights or {}
    made = {name: metrics.create(name) for name in metric_ids}
    needs = {name: expanded(metric) for name, metric in made.items()}
    every = dict.fromkeys(need for found in needs.values() for need in found)
    frames = {need.id: weights_of(need.id, weights) for need in every if need.kind == "frames"}
    encoders: dict[str, Encoder] = {}
    pairs = {n.id: create_pair(n.id).spec for n in every if n.kind == "pair" and n.id in PAIR_EXTRACTORS}
    for need in every:
        of_encoder = need.kind in ("encoder", "text", "texts") or (
            need.kind == "pair" and need.id not in pairs
        )
        if of_encoder and need.id not in encoders:
            encoders[need.id] = create_encoder(need.id, weights, precision, start)
    for name, found in needs.items():
        for need in found:
            if need.id in encoders:
                check_text_side(name, need, encoders[need.id])
    for name in weights:
        if not any(name in (used, used.rpartition(":")[0]) for used in (*encoders, *frames)):
            raise UsageError(f"--weights {name}: no metric that was asked for uses this encoder")
    for metric in made.values():
        for name in metric.weights:
            locate(name)
    prepared = Prepared(
        frames={name: extractors.create(name, path).spec for name, path in frames.items()},
        weights={name: path for name, path in frames.items() if path is not None},
        encoders=encoders,
        derivations={n.id: derivations.create(n.id, encoders) for n in every if n.kind == "derived"},
        pairs=pairs,
    )
    pair = {name: metric for name, metric in made.items() if isinstance(metric, PairMetric)}
    video = {n: metric for n, metric in made.items() if isinstance(metric, VideoMetric) and n not in pair}
    rest = {name: metric for name, metric in made.items() if isinstance(metric, DistributionMetric)}
    return Metrics(video, rest, pair, prepared)


@dataclass
class _Item:
    """What is missing for one sample."""

    at: SampleId
    sample: Sample
    prompt: Prompt
    of: VideoAndText
    metrics: list[str]
    had: bool = False


class _Scoring:
    """The state of bringing one run's scores up to date."""

    def __init__(self, run: RunFolder, chosen: Metrics, normalization: Normalization) -> None:
        self.run, self.chosen, self.normalization, self.written = run, chosen, normalization, 0
        self.texts = sorted({p.text for p in run.prompts.values()})
        self.infos = chosen.infos(normalization, self.texts)
        self.digests = {name: metric_digest(info) for name, info in self.infos.items()}
        self.needs = Needs(chosen.prepared.specs(self.texts), normalization)
        self.of_video = frozenset(chosen.prepared.of_video)
        self.store = FeatureStore(run.features)
        self.no_text: dict[str, Problem] = {}  # texts that an encoder has nothing for, by text key
        self.no_derived: dict[str, Problem] = {}  # derived features that could not be made, by key
        self.kept: list[str] = []  # why a video that has older scores could not be scored again
        self.samples = {at: s for at, s in run.samples().items() if s.status == "ok"}

    def items(self, retry: Retry, rescore: bool) -> list[_Item]:
        """Every video of the run, each with the metrics that are missing for it."""
        before = self.run.scores(str(self.normalization), self.samples)
        recorded = {} if rescore else before
        found = []
        for at in self.run.sample_ids():
            if at not in self.samples:
                continue
            have, prompt, sample = recorded.get(at, {}), self.run.prompts[at[0]], self.samples[at]
            missing = [m for m in self.chosen.video if _is_due(have.get(m), retry)]
            of = VideoAndText(str(sample.sha256), prompt.text, self.texts)
            had = any(s.status == "ok" for m, s in before.get(at, {}).items() if m in missing)
            found.append(_Item(at, sample, prompt, of, missing, had))
        return found

    def lacks_features(self, item: _Item) -> bool:
        """Whether the video must be decoded. Distribution metrics need features of every video."""
        video = [source for m in item.metrics for n in self.chosen.video[m].needs for source in self._of(n)]
        sets = [source for m in self.chosen.distribution.values() for n in m.needs for source in self._of(n)]
        needed = {self.needs.key(need, item.of) for need in (*video, *sets)}
        if needed:
            needed.add(facts_key(item.of.sha256, self.normalization))
        return any(key not in self.store for key in needed)

    def _of(self, need: Need) -> list[Need]:
        """The needs of a video that a need comes from."""
        return [source for source in self.needs.sources(need) if source in self.of_video]

    def derive(self, item: _Item, problems: Problems) -> None:
        """Make the derived features that a sample's metrics need, and put them into the store. Distribution
        metrics need those of every video."""
        of_video = [n for m in item.metrics for n in self.chosen.video[m].needs]
        of_sets = [n for m in self.chosen.distribution.values() for n in m.needs]
        needed = dict.fromkeys((*of_video, *of_sets))
        for need in needed:
            if need.kind == "derived" and self._problem(need, item, problems) is None:
                self._derive(need, item, problems)

    def _derive(self, need: Need, item: _Item, problems: Problems) -> None:
        key = self.needs.key(need, item.of)
        if key in self.store or key in self.no_derived:
            return
        for one in self.needs.inputs(need):
            if one.kind == "derived":
                self._derive(one, item, problems)
        try:
            inputs = {one: self._read(one, item) for one in self.needs.inputs(need)}
            self.store.put(key, self.chosen.prepared.derivations[need.id].derive(inputs))
        except RunError:
            raise
        except DoesNotApply as error:
            self.no_derived[key] = Problem(True, error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - a derivation's fault costs this sample's metrics alone
            message = f"{need}: {type(error).__name__}: {error}"
            again = is_machine_fault(error)
            self.no_derived[key] = Problem(False, Reason.EXTRACTOR_ERROR, message, again)

    def write(self, journal: Journal, item: _Item, problems: Problems) -> None:
        """Score one sample and journal it."""
        if not item.metrics:
            return
        line = ScoreLine(
            prompt_id=item.at[0],
            seed=item.at[1],
            sha256=item.of.sha256,
            normalization=str(self.normalization),
            scores={m: self._score(m, item, problems) for m in item.metrics},
        )
        journal.append(line.to_json())
        self.written += 1
        failed = [s for s in line.scores.values() if s.status == "failed"]
        if failed and item.had:
            self.kept.append(failed[0].message)

    def _read(self, need: Need, item: _Item) -> Features:
        return self.needs.read(need, item.of, self.store)

    def _problem(self, need: Need, item: _Item, problems: Problems) -> Problem | None:
        """Why there are no features of a need, or of what it is made from."""
        for source in self.needs.sources(need):
            found = problems.get(source)
            if source.kind == "text" and need.kind != "texts":
                found = self.no_text.get(self.needs.key(source, item.of))
            if found is not None:
                return found
        return self.no_derived.get(self.needs.key(need, item.of)) if need.kind == "derived" else None

    def _reads_text(self, metric: VideoMetric) -> bool:
        """Whether a metric depends on the prompt's words, itself or through its features."""
        sources = (source for need in metric.needs for source in self.needs.sources(need))
        return "text" in metric.reads or any(source.kind in ("text", "texts") for source in sources)

    def _score(self, name: str, item: _Item, problems: Problems) -> Score:
        metric = self.chosen.video[name]
        stamp: dict[str, Any] = {
            "metric_digest": self.digests[name],
            "fields_digest": fields_digest(item.prompt, metric.reads),
        }
        if not item.prompt.text_known and self._reads_text(metric):
            message = "the clip's prompt is not known, only its file's name"
            return Score(status="skipped", reason=Reason.NO_PROMPT_TEXT, message=message, **stamp)
        for need in metric.needs:
            problem = self._problem(need, item, problems)
            if problem is not None:
                return Score(
                    status="skipped" if problem.skip else "failed",
                    reason=problem.reason, message=problem.message, transient=problem.transient, **stamp,
                )  # fmt: skip
        try:
            facts = get_facts(self.store, item.of.sha256, self.normalization)
            clip = Clip(
                features={need: self._read(need, item) for need in metric.needs},
                prompt=PromptFields(item.prompt, metric.reads),
                times=facts.times, fps=facts.fps, width=facts.width, height=facts.height,
                normalization=self.normalization,
            )  # fmt: skip
            result = metric.score(clip)
            if isinstance(result, Skip):
                return Score(status="skipped", reason=result.reason, message=result.message, **stamp)
            notes = facts.notes + result.notes
            return Score(status="ok", value=float(result.value), notes=notes, **stamp)
        except RunError:
            raise  # a damaged shard concerns the whole run
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric's fault costs this score alone
            message = f"{type(error).__name__}: {error}"
            again = is_machine_fault(error)
            return Score(
                status="failed", reason=Reason.METRIC_ERROR, message=message, transient=again, **stamp
            )


def _is_due(before: Score | None, retry: Retry) -> bool:
    """Whether a score is to be made: it never was, or it failed and may be tried again."""
    return before is None or (before.status == "failed" and wants_retry(before.transient, retry))


def score_run(
    run: RunFolder,
    chosen: Metrics,
    normalization: Normalization | None = None,
    resources: Resources | None = None,
    retry: Retry = "transient",
    rescore: bool = False,
    progress: Progress | None = None,
) -> int:
    """Bring a run's scores up to date; gives the number of videos scored. Without `resources` those of this
    machine are used."""
    if resources is None:
        with Resources() as own:
            return score_run(run, chosen, normalization, own, retry, rescore, progress)
    if chosen.pair:
        raise UsageError(
            f"{next(iter(chosen.pair))} is of two videos, a run beside a baseline: see `gate check`"
        )
    normalization = normalization or Normalization()
    device = resources.checked_device() if chosen.prepared.encoders else "cpu"
    with run.writing():
        started = provenance.now()
        work = _Scoring(run, chosen, normalization)
        known = dict(run.info.metrics)
        known[str(normalization)] = {**known.get(str(normalization), {}), **work.infos}
        run.update(metrics=known)
        _work(work, resources, device, retry, rescore, progress or Progress())
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
    return work.written


def _work(
    work: _Scoring, resources: Resources, device: str, retry: Retry, rescore: bool, progress: Progress
) -> None:
    """Encode texts, extract what is missing, and write a line for every video that lacks a score."""
    items = work.items(retry, rescore)
    lacking = {item.at for item in items if work.lacks_features(item)}
    progress.begin("score", sum(bool(item.metrics) or item.at in lacking for item in items))
    work.no_text = encode_texts(_texts(work, items), work.chosen.prepared.encoders, work.store, device)
    with Journal(work.run.path / "scores.jsonl") as journal:
        waiting: dict[str, list[_Item]] = {}
        stored: list[_Item] = []
        for item in items:
            if item.at not in lacking:
                stored.append(item)
                continue
            waiting.setdefault(item.of.sha256, []).append(item)
        sources = [Source(sha256, _place(work.run, same)) for sha256, same in waiting.items()]
        _write_stored(work, journal, stored, progress)

        def complete(source: Source, problems: Problems) -> None:
            for item in waiting[source.sha256]:
                work.derive(item, problems)

        def committed(source: Source, problems: Problems) -> None:
            for item in waiting.pop(source.sha256):
                work.write(journal, item, problems)

        def advance(source: Source, failed: bool) -> None:
            for _ in waiting[source.sha256]:
                progress.advance(failed)

        hooks = Hooks(committed, complete, advance)
        cost = extract_features(
            sources, work.chosen.prepared, work.store, work.normalization, resources.pool, device, hooks
        )
    log.info("%s: %s", work.run.path, cost)


def _place(run: RunFolder, same: Sequence[_Item]) -> Path:
    """Where to read a video that several samples may have: the first place that holds a file."""
    places = [run.video_path(item.sample) for item in same]
    return next((place for place in places if is_regular(place)), places[0])


def _texts(work: _Scoring, items: Sequence[_Item]) -> list[str]:
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


def _write_stored(work: _Scoring, journal: Journal, items: Sequence[_Item], progress: Progress) -> None:
    """Score the videos whose features are there."""
    for item in items:
        work.derive(item, {})
    work.store.commit()
    for item in items:
        work.write(journal, item, {})
        if item.metrics:
            progress.advance(False)
