"""What is missing of a run's scores, and a score from features and prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.errors import DoesNotApply, Reason, RunError, is_machine_fault
from evals.executors import Problem, Problems
from evals.generate import Retry, wants_retry
from evals.metrics.base import Clip, PromptFields, Skip, VideoMetric
from evals.metrics.needs import Needs, VideoAndText
from evals.metrics.preparing import Metrics
from evals.records import Need, Normalization, Prompt, Score, ScoreLine
from evals.runs.current import SampleId, Value, is_ok
from evals.runs.facts import get_facts
from evals.runs.features import Features, FeatureStore
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal
from evals.runs.keys import facts_key, fields_digest, metric_digest


@dataclass
class Item:
    """What is missing for one sample."""

    at: SampleId
    prompt: Prompt
    of: VideoAndText
    metrics: list[str]
    had: bool = False
    lacks_features: bool = False  # so that its video must be decoded


class Scoring:
    """The state of bringing one run's scores up to date."""

    def __init__(self, run: RunFolder, chosen: Metrics, normalization: Normalization) -> None:
        self.run, self.chosen, self.normalization, self.written = run, chosen, normalization, 0
        self.texts = sorted({p.text for p in run.prompts.values()})
        self.infos = chosen.infos(normalization, self.texts)
        self.digests = {name: metric_digest(info) for name, info in self.infos.items()}
        self.needs = Needs(chosen.prepared.specs(self.texts), normalization)
        self.of_video = frozenset(chosen.prepared.of_video)
        self.store = FeatureStore(run.features, run.writer)
        self.no_text: dict[str, Problem] = {}  # texts that an encoder has nothing for, by text key
        self.no_derived: dict[str, Problem] = {}  # derived features that could not be made, by key
        self.judged = frozenset(
            name for name, metric in chosen.video.items() if any(n.kind == "answers" for n in metric.needs)
        )
        self._read: tuple[SampleId | None, dict[Need, Features]] = None, {}
        self.kept: list[str] = []  # why a video that has older scores could not be scored again
        self.samples = run.samples().ok()

    def items(self, retry: Retry, rescore: bool) -> list[Item]:
        """The videos that something is missing of: scores, or features of distribution metrics."""
        before = self.run.values(str(self.normalization), self.samples)
        mine = self.run.mine(list(self.run.prompts))
        found = []
        for at in self.run.sample_ids():
            if at not in self.samples or at[0] not in mine:
                continue
            missing = [m for m in self.chosen.video if rescore or _is_due(before.one(at, m), retry)]
            had = any((score := before.one(at, m)) is not None and is_ok(score) for m in missing)
            prompt = self.run.prompts[at[0]]
            of = VideoAndText(self.samples.sha256(at), prompt.text, self.texts, prompt=prompt)
            item = Item(at, prompt, of, missing, had)
            item.lacks_features = self._lacks_features(item)
            if missing or item.lacks_features or self._lacks_derived(item):
                found.append(item)
        return found

    def _lacks_features(self, item: Item) -> bool:
        """Whether the video must be decoded. Distribution metrics need features of every video."""
        video = [source for m in item.metrics for n in self.chosen.video[m].needs for source in self._of(n)]
        sets = [source for m in self.chosen.distribution.values() for n in m.needs for source in self._of(n)]
        needed = {self.needs.key(need, item.of) for need in (*video, *sets)}
        if needed:
            needed.add(facts_key(item.of.sha256, self.normalization))
        return any(key not in self.store for key in needed)

    def _lacks_derived(self, item: Item) -> bool:
        """Whether features that are derived from a video's, for distribution metrics, are not there."""
        sets = [need for m in self.chosen.distribution.values() for need in m.needs if need.kind == "derived"]
        return any(self.needs.key(need, item.of) not in self.store for need in sets)

    def _of(self, need: Need) -> list[Need]:
        """The needs of a video that a need comes from."""
        return [source for source in self.needs.sources(need) if source in self.of_video]

    def derive(self, item: Item, problems: Problems) -> None:
        """Make the derived features that a sample's metrics need, and put them into the store. Distribution
        metrics need those of every video."""
        of_video = [n for m in item.metrics for n in self.chosen.video[m].needs]
        of_sets = [n for m in self.chosen.distribution.values() for n in m.needs]
        needed = dict.fromkeys((*of_video, *of_sets))
        for need in needed:
            if need.kind == "derived" and self.problem(need, item, problems) is None:
                self._derive(need, item, problems)

    def _derive(self, need: Need, item: Item, problems: Problems) -> None:
        key = self.needs.key(need, item.of)
        if key in self.store or key in self.no_derived:
            return
        for one in self.needs.inputs(need):
            if one.kind == "derived":
                self._derive(one, item, problems)
        try:
            inputs = {one: self.read(one, item) for one in self.needs.inputs(need)}
            self.store.put(key, self.chosen.prepared.derivations[need.id].derive(inputs))
        except RunError:
            raise
        except DoesNotApply as error:
            self.no_derived[key] = Problem(True, error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - a derivation's fault costs this sample's metrics alone
            message = f"{need}: {type(error).__name__}: {error}"
            again = is_machine_fault(error)
            self.no_derived[key] = Problem(False, Reason.EXTRACTOR_ERROR, message, again)

    def write(
        self, journal: Journal, item: Item, problems: Problems, metrics: Sequence[str] | None = None
    ) -> None:
        """Score one sample and journal it; all its metrics, or some of them."""
        wanted = item.metrics if metrics is None else metrics
        if not wanted:
            return
        line = ScoreLine(
            prompt_id=item.at[0],
            seed=item.at[1],
            sha256=item.of.sha256,
            normalization=str(self.normalization),
            scores={m: self._score(m, item, problems) for m in wanted},
        )
        journal.append(line.to_json())
        self.written += 1
        failed = [s for s in line.scores.values() if s.status == "failed"]
        if failed and item.had:
            self.kept.append(failed[0].message)

    def read(self, need: Need, item: Item) -> Features:
        """A need's features, read once for all metrics of a sample."""
        if self._read[0] != item.at:
            self._read = item.at, {}
        found = self._read[1]
        if need not in found:
            found[need] = self.needs.read(need, item.of, self.store)
        return found[need]

    def problem(self, need: Need, item: Item, problems: Problems) -> Problem | None:
        """Why there are no features of a need, or of what it is made from."""
        if need in problems:
            return problems[need]
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

    def _score(self, name: str, item: Item, problems: Problems) -> Score:
        metric = self.chosen.video[name]
        stamp: dict[str, Any] = {
            "metric_digest": self.digests[name],
            "fields_digest": fields_digest(item.prompt, metric.reads),
        }
        if not item.prompt.text_known and self._reads_text(metric):
            message = "the clip's prompt is not known, only its file's name"
            return Score(status="skipped", reason=Reason.NO_PROMPT_TEXT, message=message, **stamp)
        for need in metric.needs:
            problem = self.problem(need, item, problems)
            if problem is not None:
                return Score(
                    status="skipped" if problem.skip else "failed",
                    reason=problem.reason, message=problem.message, transient=problem.transient, **stamp,
                )  # fmt: skip
        try:
            facts = get_facts(self.store, item.of.sha256, self.normalization)
            clip = Clip(
                features={need: self.read(need, item) for need in metric.needs},
                prompt=PromptFields(item.prompt, metric.reads),
                times=facts.times, fps=facts.fps, width=facts.width, height=facts.height,
                normalization=self.normalization,
            )  # fmt: skip
            result = metric.score(clip)
            if isinstance(result, Skip):
                return Score(status="skipped", reason=result.reason, message=result.message, **stamp)
            notes = facts.notes + result.notes
            parts = {name: float(value) for name, value in result.parts.items()}
            return Score(status="ok", value=float(result.value), notes=notes, parts=parts, **stamp)
        except RunError:
            raise  # a damaged shard concerns the whole run
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric's fault costs this score alone
            message = f"{type(error).__name__}: {error}"
            again = is_machine_fault(error)
            return Score(
                status="failed", reason=Reason.METRIC_ERROR, message=message, transient=again, **stamp
            )


def _is_due(before: Value | None, retry: Retry) -> bool:
    """Whether a score is to be made: it never was, or it failed and may be tried again."""
    if isinstance(before, float):
        return False
    return before is None or (before.status == "failed" and wants_retry(before.transient, retry))
