"""`rate import`: answers of crowd work."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH
from evals.cli.output import tell


@click.command(name="import")
@click.argument("study", type=PATH)
@click.argument("answers", type=PATH)
def command(study: Path, answers: Path) -> int:
    """Add the votes in ANSWERS, a CSV with the columns task, rater and choice, to STUDY."""
    from evals.ratings import crowd
    from evals.ratings.study import StudyFolder
    from evals.runs.lock import held

    opened = StudyFolder(study)
    with held(study):
        count = crowd.take(opened, answers)
    tell(f"new votes: {count}; results: t2v-evals rate show {study}")
    return 0
