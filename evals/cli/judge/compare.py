"""`judge compare`: a judge votes between runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli import values
from evals.cli.options import PATH, Common, Working, allow_outside, common, working
from evals.cli.output import say, table_width, tell, tell_json, tell_table
from evals.cli.rate.opening import aspect as aspect_option
from evals.cli.rate.opening import limit as limit_option
from evals.cli.rate.opening import opened
from evals.cli.rate.opening import out as out_option
from evals.cli.results import SOME_FAILED

if TYPE_CHECKING:
    from evals.ratings.study import Aspect


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option(
    "--judge", required=True, metavar="KIND:MODEL", help="openai-chat:MODEL@URL, transformers:NAME."
)
@click.option(
    "--judge-option",
    "judging",
    multiple=True,
    callback=values.key_values,
    metavar="KEY=VALUE",
    help="Option of the judge, such as votes=3 or revision=….",
)
@out_option
@aspect_option
@limit_option
@allow_outside
@working
@common
def command(
    runs: tuple[Path, ...], judge: str, judging: dict[str, str], out: Path | None, aspect: Aspect,
    limit: int | None, allow_outside: bool, working: Working, common: Common,
) -> int:  # fmt: skip
    """Have a judge choose between the videos of RUNS, two at a time and in both orders; what it decides in
    both counts. Votes join those of people in the study's folder."""
    from evals import judges
    from evals.cli.progress import Bar
    from evals.ratings.pairwise import judge_pairs
    from evals.ratings.results import doubt_of_judge, preferences
    from evals.report.judging import controls_said
    from evals.report.preferences import render

    common.start()
    asked = judges.create(judge, judging)
    with (
        opened(runs, out, aspect, limit, allow_outside) as (study, by_label),
        common.resources() as resources,
        Bar(common.quiet) as bar,
    ):
        failures = judge_pairs(study, by_label, asked, resources, bar, working.retry)
    votes = [vote for vote in study.votes() if vote.judge == asked.spec.digest]
    found = preferences(study.study, votes, asked.name, doubt=doubt_of_judge(study.study, asked.spec.digest))
    if common.as_json:
        tell_json({"study": str(study.path), "failed": len(failures), **found.model_dump(mode="json")})
    else:
        tell_table(render(found, table_width(), sys.stdout.isatty()))
        if (known := study.study.calibrations.get(asked.spec.digest)) is not None:
            tell(controls_said(known))
    if failures:
        say(f"{len(failures)} pairs have no vote, such as: {failures[0]}")
    return SOME_FAILED if failures else 0
