"""Asks judges about a run's videos, after their controls, and writes the scores that rest on the answers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from evals.calibration import Sights, calibrate, control_clips
from evals.decoding.resources import Progress, Resources
from evals.errors import EvalsError, EvalsWarning, NoAnswer, Reason
from evals.extract import COMMIT_SECONDS, Problem, Problems
from evals.generate import Retry
from evals.judges.answer_log import AnswerLog
from evals.judges.asker import Asker
from evals.judges.base import Judge, Sight
from evals.judges.forms import ASKED, FORMS, REQUIRED, Form, excludes
from evals.records import Calibration, Need, Normalization
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
        self._waiting: list[Item] = []

    def write(self, item: Item, problems: Problems) -> None:
        """Write what can be written of a sample now."""
        work, now = self._work, item.metrics
        if work.judged:
            later = [
                name for name in item.metrics if name in work.judged and self._lacks(name, item, problems)
            ]
            now = [name for name in item.metrics if name not in later]
            if later:
                self._waiting.append(item)
        work.write(self._journal, item, problems, now)

    def _lacks(self, name: str, item: Item, problems: Problems) -> bool:
        """Whether a metric waits for answers that can be had."""
        return any(
            need.kind == "answers"
            and work_key not in self._work.store
            and self._work.problem(need, item, problems) is None
            for need in self._work.chosen.video[name].needs
            for work_key in [self._work.needs.key(need, item.of)]
        )

    def ask(self, resources: Resources, retry: Retry, progress: Progress) -> None:
        """Ask every judge about what waits for it."""
        if not self._waiting:
            return
        with AnswerLog(self._work.run.path / "answers.jsonl") as log:
            for judge in self._work.chosen.prepared.judges.values():
                asker = Asker(judge, log, retry)
                try:
                    self._calibrate(asker, resources, progress)
                    self._answer(asker, progress)
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

    # --- controls ---

    def _calibrate(self, asker: Asker, resources: Resources, progress: Progress) -> None:
        """Measure the judge, unless this run has done so for all that it is asked."""
        work, judge = self._work, asker.judge
        used = {need.id.partition(":")[0] for needs in self._metrics(judge).values() for need in needs}
        forms: list[Form] = [form for form in FORMS if form in used]
        known = work.run.info.calibrations.get(judge.name)
        if known is not None and _covers(known, judge, forms):
            return
        clips, said = control_clips(judge, work.run.path / "controls", resources)
        store, sights = work.store, Sights(judge, work.store, Normalization())
        sights.extract({clip.sha256: clip.path for clip in clips}, resources)
        progress.begin("controls", len(clips))
        rewrote = _rewrote(work.run, judge)
        if rewrote:
            message = f"{work.run.path}: {judge.name} judges videos of prompts that it rewrote itself"
            warnings.warn(message, EvalsWarning, stacklevel=2)
        made = calibrate(
            asker, clips, lambda clip: sights.of(clip.sha256), forms, said, rewrote,
            lambda: progress.advance(False),
        )  # fmt: skip
        store.commit()
        work.run.update(calibrations={**work.run.info.calibrations, judge.name: made})

    # --- the run's videos ---

    def _answer(self, asker: Asker, progress: Progress) -> None:
        work, mine = self._work, self._metrics(asker.judge)
        sights = Sights(asker.judge, work.store, work.normalization)
        waiting = [item for item in self._waiting if any(name in mine for name in item.metrics)]
        progress.begin("ask", len(waiting))

        def jobs() -> Iterator[_Job]:
            for item in waiting:
                names = [name for name in item.metrics if name in mine]
                needs = dict.fromkeys(need for name in names for need in mine[name])
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
        if (no := excludes(form, job.item.prompt)) is not None:
            found[need] = Problem(True, no.reason, str(no))
            continue
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


def _covers(known: Calibration, judge: Judge, forms: Sequence[Form]) -> bool:
    """Whether a calibration is of this judge and of all that it is asked. One without answers is made again,
    since the judge may not have been there."""
    needed = {control for form in forms for control in REQUIRED[form]}
    return (
        known.spec_digest == judge.spec.digest and needed <= set(known.rates) and "answers" not in known.fails
    )


def _rewrote(run: RunFolder, judge: Judge) -> bool:
    """Whether the run's prompts were rewritten by the judge's model."""
    expand = run.info.generator.params.get("expand")
    rewriter = expand.get("params", {}).get("model") if isinstance(expand, dict) else None
    return rewriter is not None and rewriter == judge.spec.params.get("model")
