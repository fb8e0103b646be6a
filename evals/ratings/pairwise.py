"""A judge votes on a study's pairs: each is asked in both orders, and counts where both agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.calibration import Sights, calibrate, control_clips
from evals.decoding.resources import Progress, Resources
from evals.errors import NoAnswer
from evals.judges.answer_log import AnswerLog
from evals.judges.asker import Asker, Retry
from evals.judges.base import Judge
from evals.judges.forms import PAIRWISE, Votes, better
from evals.ratings.study import Choice, Pair, StudyFolder, Vote, now
from evals.records import Normalization
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal


def judge_pairs(
    study: StudyFolder, runs: Mapping[str, RunFolder], judge: Judge, resources: Resources,
    progress: Progress, retry: Retry = "transient",
) -> list[str]:  # fmt: skip
    """Ask the judge about every pair that it has no vote on, after its controls; gives why some have none."""
    folder = study.path / "features"
    folder.mkdir(exist_ok=True)
    store = FeatureStore(folder)
    sights = Sights(judge, store, Normalization())
    places = _places(study, runs)
    problems = sights.extract(places, resources)
    voted = {vote.pair for vote in study.votes() if vote.judge == judge.spec.digest}
    failures, ready = [], list[Pair]()
    for pair in study.study.pairs:
        clips = (pair.sha256_a, pair.sha256_b)
        why = next((problems[sha] for sha in clips if sha in problems), "")
        if not why and any(sights.of(sha) is None for sha in clips):
            why = "a clip is gone, or another one now; make a new study with another --out"
        if pair.id in voted:
            continue
        if why:
            failures.append(f"{pair.prompt_id}, seed {pair.seed}: {why}")
        else:
            ready.append(pair)
    with AnswerLog(study.path / "answers.jsonl") as log, Journal(study.votes_file) as journal:
        asker = Asker(judge, log, retry)
        try:
            _calibrate(study, asker, sights, resources, progress)
            progress.begin("ask", len(ready))
            for _, found in asker.each(lambda pair: _vote(asker, sights, pair, study.study.aspect), ready):
                if isinstance(found, Vote):
                    journal.append(found.model_dump(mode="json", by_alias=True))
                else:
                    failures.append(found)
                progress.advance(not isinstance(found, Vote))
        finally:
            judge.close()
    return failures


def _places(study: StudyFolder, runs: Mapping[str, RunFolder]) -> dict[str, Path]:
    """Every clip of the study by its SHA-256."""
    wanted = {sha for pair in study.study.pairs for sha in (pair.sha256_a, pair.sha256_b)}
    found: dict[str, Path] = {}
    for run in runs.values():
        for sample in run.samples().values():
            if sample.sha256 in wanted:
                found.setdefault(str(sample.sha256), run.video_path(sample))
    return found


def _calibrate(
    study: StudyFolder, asker: Asker, sights: Sights, resources: Resources, progress: Progress
) -> None:
    judge, known = asker.judge, study.study.calibrations.get(asker.judge.name)
    if (
        known is not None and known.spec_digest == judge.spec.digest and "answers" not in known.fails
        and set(PAIRWISE) <= set(known.rates)
    ):  # fmt: skip
        return
    clips, said = control_clips(judge, study.path / "controls", resources)
    sights.extract({clip.sha256: clip.path for clip in clips}, resources)
    progress.begin("controls", len(clips))
    made = calibrate(
        asker, clips, lambda clip: sights.of(clip.sha256), (), said, False,
        lambda: progress.advance(False), study.study.aspect,
    )  # fmt: skip
    study.add_calibration(made)


def _vote(asker: Asker, sights: Sights, pair: Pair, aspect: str) -> Vote | str:
    """The judge's vote, or why there is none."""
    a, b = sights.of(pair.sha256_a), sights.of(pair.sha256_b)
    assert a is not None and b is not None
    ask = better(aspect, pair.text)
    about: dict[str, Any] = {"pair": pair.id, "prompt_id": pair.prompt_id, "seed": pair.seed}
    orders: list[tuple[tuple[Any, Any], dict[str, Choice]]] = [
        ((a, b), {"first": "a", "second": "b", "equal": "tie"}),
        ((b, a), {"first": "b", "second": "a", "equal": "tie"}),
    ]
    said: list[Choice] = []
    try:
        for shown, meant in orders:
            votes = Votes(asker.votes(shown, ask, **about))
            most = max(meant, key=votes.share)
            said.append(meant[most] if votes.share(most) > 0.5 else "tie")
    except NoAnswer as error:
        return f"{pair.prompt_id}, seed {pair.seed}: {error}"
    agree = said[0] == said[1]
    return Vote(
        pair=pair.id, rater=asker.judge.name, choice=said[0] if agree else "tie", left="both",
        judge=asker.judge.spec.digest, inconsistent=not agree, time=now(),
    )  # fmt: skip
