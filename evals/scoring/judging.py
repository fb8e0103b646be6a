"""Asks judges about a run's videos, after their controls, and writes the scores that rest on the answers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from evals.calibration import Sights, calibrate, clips_digest, control_clips
from evals.decoding.resources import Progress, Resources
from evals.errors import EvalsError, EvalsWarning, NoAnswer, Reason
from evals.executors import Problem, Problems
from evals.extract import COMMIT_SECONDS
from evals.generate import Retry
from evals.judges.answer_log import AnswerLog
from evals.judges.asker import Asker
from evals.judges.base import Judge, Sight
from evals.judges.forms import ASKED, FORMS, REQUIRED, Form, excludes
from evals.records import Need, Normalization
from evals.runs.features import Features
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal
from evals.scoring.state import Item, Scoring

COMMIT_ITEMS = 32


@dataclass(frozen=True)
class _Job:
    """What a judge is asked about one sample's video."""

    item: Item
    metrics: list[str]
    needs: list[Need]
    sight: Sight


class Judging:
    """Writes scores; those that need answers which are not there wait until `ask`."""

    def __init__(self, work: Scoring, journal: Journal) -> None:
        self._work, self._journal = work, journal
        self._waiting: list[tuple[Item, list[str]]] = []  # with the metrics that wait

    def write(self, item: Item, problems: Problems) -> None:
        """Write what can be written of a sample now."""
        work, now = self._work, item.metrics
        if work.judged:
            problems = {**problems, **_excluded(work, item)}
            later = [n for n in item.metrics if n in work.judged and self._lacks(n, item, problems)]
            now = [name for name in item.metrics if name not in later]
            if later:
                self._waiting.append((item, later))
        work.write(self._journal, item, problems, now)

    def _lacks(self, name: str, item: Item, problems: Problems) -> bool:
        """Whether a metric waits for answers, and nothing stands against having them."""
        needs = [need for need in self._work.chosen.video[name].needs if need.kind == "answers"]
        if any(self._work.problem(need, item, problems) is not None for need in needs):
            return False
        return any(self._work.needs.key(need, item.of) not in self._work.store for need in needs)

    def ask(self, resources: Resources, retry: Retry, progress: Progress) -> None:
        """Ask every judge about what waits for it, after its controls."""
        for judge in self._work.chosen.prepared.judges.values():
            mine = self._metrics(judge)
            waiting = [(item, [n for n in names if n in mine]) for item, names in self._waiting]
            waiting = [(item, names) for item, names in waiting if names]
            measure = self._lacks_controls(judge) or judge.options.controls is not None
            if not waiting and not (measure and self._has_scores(mine)):
                continue
            segments = self._work.run.segments
            with AnswerLog(segments.own("answers"), segments.known("answers")) as log:
                asker = Asker(judge, log, retry)
                try:
                    self._calibrate(asker, resources, progress)
                    self._answer(asker, mine, waiting, progress)
                finally:
                    judge.close()

    def _metrics(self, judge: Judge) -> dict[str, list[Need]]:
        """The metrics that rest on a judge's answers, with these."""
        found = {}
        for name in self._work.judged:
            needs = [n for n in self._work.chosen.video[name].needs if n.kind == "answers"]
            if needs[0].id.partition(":")[2] == judge.name:
                found[name] = needs
        return found

    def _has_scores(self, metrics: Iterable[str]) -> bool:
        """Whether the run has a score of any of these."""
        found = self._work.run.scores(str(self._work.normalization))
        return any(name in mine and mine[name].status == "ok" for mine in found.values() for name in metrics)

    # --- controls ---

    def _forms(self, judge: Judge) -> list[Form]:
        """What the run's metrics ask this judge, under whatever normalization they were scored."""
        recorded = [
            (Need.parse(name), spec)
            for metrics in self._work.run.info.metrics.values()
            for info in metrics.values()
            for name, spec in info.extractors.items()
            if name.startswith("answers:")
        ]
        asked = {
            need.id.partition(":")[0]
            for need, spec in recorded
            if need.id.partition(":")[2] == judge.name
            and {k: v for k, v in spec.params.items() if k != "form"} == judge.spec.params
        }
        return [form for form in FORMS if form in asked]

    def _lacks_controls(self, judge: Judge) -> bool:
        """Whether the judge was not asked all controls that its metrics rest on. Where it gave too few
        answers it is asked again, since it may have been away."""
        known = self._work.run.info.calibrations.get(judge.spec.digest)
        needed = {control for form in self._forms(judge) for control in REQUIRED[form]}
        return known is None or not needed <= set(known.rates) or "answers" in known.fails

    def _calibrate(self, asker: Asker, resources: Resources, progress: Progress) -> None:
        """Measure the judge, unless this run has done so, on the clips that are to be its controls, for all
        that it is asked."""
        work, judge = self._work, asker.judge
        known = work.run.info.calibrations.get(judge.spec.digest)
        given = judge.options.controls is not None
        if not given and not self._lacks_controls(judge):
            return
        clips, said = control_clips(judge, work.run.path / "controls", resources)
        if (
            known is not None
            and known.clips_digest == clips_digest(clips)
            and not self._lacks_controls(judge)
        ):
            return
        sights = Sights(judge, work.store, Normalization())
        sights.extract({clip.sha256: clip.path for clip in clips}, resources)
        progress.begin("controls", len(clips))
        rewrote = _rewrote(work.run, judge)
        if rewrote:
            message = f"{work.run.path}: {judge.name} judges videos of prompts that it rewrote itself"
            warnings.warn(message, EvalsWarning, stacklevel=2)
        made = calibrate(
            asker, clips, lambda clip: sights.of(clip.sha256), self._forms(judge), said, rewrote,
            lambda: progress.advance(False),
        )  # fmt: skip
        work.store.commit()
        work.run.update(calibrations={**work.run.info.calibrations, judge.spec.digest: made})

    # --- the run's videos ---

    def _answer(
        self, asker: Asker, metrics: Mapping[str, list[Need]], waiting: Sequence[tuple[Item, list[str]]],
        progress: Progress,
    ) -> None:  # fmt: skip
        work = self._work
        sights = Sights(asker.judge, work.store, work.normalization)
        progress.begin("ask", len(waiting))

        def jobs() -> Iterator[_Job]:
            for item, names in waiting:
                needs = dict.fromkeys(need for name in names for need in metrics[name])
                left = [need for need in needs if work.needs.key(need, item.of) not in work.store]
                sight = sights.of(item.of.sha256)
                assert sight is not None  # what has no frames to show does not wait
                yield _Job(item, names, left, sight)

        finished: list[tuple[_Job, Problems]] = []
        last = time.monotonic()
        try:
            for job, found in asker.each(lambda job: _answers(asker, job), jobs()):
                problems: dict[Need, Problem] = {}
                for need, one in found.items():
                    if isinstance(one, Problem):
                        problems[need] = one
                    else:
                        work.store.put(work.needs.key(need, job.item.of), one)
                finished.append((job, problems))
                progress.advance(any(not p.skip for p in problems.values()))
                if len(finished) >= COMMIT_ITEMS or time.monotonic() - last > COMMIT_SECONDS:
                    self._commit(finished)
                    finished, last = [], time.monotonic()
        finally:
            self._commit(finished)

    def _commit(self, finished: Sequence[tuple[_Job, Problems]]) -> None:
        self._work.store.commit()
        for job, problems in finished:
            stopped = any(p.reason == Reason.STOPPED for p in problems.values())
            if not stopped:
                self._work.write(self._journal, job.item, problems, job.metrics)


def _answers(asker: Asker, job: _Job) -> dict[Need, Features | Problem]:
    """What the judge says, as features by need, or why it says nothing."""
    found: dict[Need, Features | Problem] = {}
    about: dict[str, Any] = {
        "prompt_id": job.item.at[0], "seed": job.item.at[1], "sha256": job.item.of.sha256,
    }  # fmt: skip
    for need in job.needs:
        form = need.id.partition(":")[0]
        try:
            found[need] = ASKED[form](job.item.prompt, partial(asker.votes, [job.sight], form=form, **about))
        except NoAnswer as error:
            found[need] = Problem(False, error.reason, str(error), error.transient)
        except EvalsError:
            raise
        except Exception as error:  # noqa: BLE001 - a judge's fault costs this sample's answers alone
            message = f"{asker.judge.name}: {type(error).__name__}: {error}"
            found[need] = Problem(False, Reason.EXTRACTOR_ERROR, message)
    return found


def _excluded(work: Scoring, item: Item) -> dict[Need, Problem]:
    """The answers that a judge is not asked for about a prompt's videos, with why."""
    found = {}
    for name in item.metrics:
        for need in work.chosen.video[name].needs if name in work.judged else ():
            no = excludes(need.id.partition(":")[0], item.prompt) if need.kind == "answers" else None
            if no is not None:
                found[need] = Problem(True, no.reason, str(no))
    return found


def _rewrote(run: RunFolder, judge: Judge) -> bool:
    """Whether the run's prompts were rewritten by the judge's model."""
    expand = run.info.generator.params.get("expand")
    rewriter = expand.get("params", {}).get("model") if isinstance(expand, dict) else None
    return rewriter is not None and rewriter == judge.spec.params.get("model")
