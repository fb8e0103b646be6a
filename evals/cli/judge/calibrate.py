"""`judge calibrate`: a judge's rates corrected by people's labels."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from evals.cli.options import PATH, Normalizing, normalizing
from evals.cli.output import table_width, tell_json, tell_table


@click.command(name="calibrate")
@click.argument("run", type=PATH)
@click.option(
    "--labels", type=PATH, required=True, help="CSV: prompt_id, question, answer, and perhaps seed and rater."
)
@click.option("--judge", help="Which judge, where the run has several.")
@normalizing
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(run: Path, labels: Path, judge: str | None, normalizing: Normalizing, as_json: bool) -> int:
    """What people would have said of all of RUN's videos, from labels of a part of them that was drawn at
    random; and how far the judge agrees with them."""
    from evals.ratings.labels import compare_labels, read_labels
    from evals.report.preferences import labels_table
    from evals.runs.folder import RunFolder

    found = compare_labels(RunFolder(run), read_labels(labels), judge, str(normalizing.normalization()))
    if as_json:
        tell_json({"metrics": [asdict(one) for one in found]})
    else:
        tell_table(labels_table(found, table_width(), sys.stdout.isatty()))
    return 0
