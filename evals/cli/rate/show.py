"""`rate show`: what the votes say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH
from evals.cli.output import table_width, tell_json, tell_table
from evals.cli.rate.opening import runs_of

if TYPE_CHECKING:
    from evals.runs.current import SampleId
    from evals.runs.folder import RunFolder


@click.command(name="show")
@click.argument("study", type=PATH)
@click.option("--keep-all", is_flag=True, help="Count raters who fail the blurred checks, too.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(study: Path, keep_all: bool, as_json: bool) -> int:
    """What the votes in STUDY say: who is preferred, which raters paid attention, which metrics agree."""
    from evals.ratings.results import doubt_of_judge, is_judge, metric_agreement, preferences
    from evals.ratings.study import StudyFolder
    from evals.report.preferences import render

    opened = StudyFolder(study)
    votes = opened.votes()
    people = [vote for vote in votes if not is_judge(vote)]
    judged = [vote for vote in votes if is_judge(vote)]
    latest = {vote.rater: vote.judge for vote in judged}  # of a judge in several forms, the last
    judged = [vote for vote in judged if vote.judge == latest[vote.rater]]
    runs = runs_of(opened)
    every = [run.label for run in opened.study.runs]
    shape = {label: _normalization(run) for label, run in runs.items()}
    metrics = {n: runs[n].info.metrics.get(shape[n], {}) if n in runs else {} for n in every}
    scores = {n: runs[n].scores(shape[n]) if n in runs else {} for n in every}
    kept = {one.rater for one in preferences(opened.study, people, keep_all=keep_all).raters if one.kept}
    agreement = metric_agreement(
        opened.study,
        [vote for vote in people if vote.rater in kept],
        metrics,
        scores,
        judged,
        {n: _hashes(run) for n, run in runs.items()},
    )
    found = [preferences(opened.study, people, keep_all=keep_all, agreement=agreement)]
    for name in dict.fromkeys(vote.rater for vote in judged):
        mine = [vote for vote in judged if vote.rater == name]
        doubt = doubt_of_judge(opened.study, latest[name])
        found.append(preferences(opened.study, mine, name, keep_all, doubt=doubt))
    if judged and not people:
        found = found[1:]
    if as_json:
        tell_json({"preferences": [one.model_dump(mode="json") for one in found]})
        return 0
    for one in found:
        tell_table(render(one, table_width(), sys.stdout.isatty()) + "\n")
    return 0


def _normalization(run: RunFolder) -> str:
    """The one whose scores are taken: `native`, else the first."""
    return "native" if "native" in run.info.metrics else next(iter(run.info.metrics), "native")


def _hashes(run: RunFolder) -> dict[SampleId, str]:
    samples = run.samples()
    return {at: samples.sha256(at) for at in samples}
