"""`rate export`: a study for a crowd-work platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH, Common, allow_outside, common
from evals.cli.output import tell
from evals.cli.rate.opening import aspect as aspect_option
from evals.cli.rate.opening import limit as limit_option
from evals.cli.rate.opening import opened

if TYPE_CHECKING:
    from evals.ratings.study import Aspect


@click.command(name="export")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--study", type=PATH, help="The study's folder (default: ratings/ and the runs' names).")
@click.option("--out", type=PATH, required=True, help="Where clips and tasks.csv go; an empty folder.")
@aspect_option
@limit_option
@allow_outside
@common
def command(
    runs: tuple[Path, ...], study: Path | None, out: Path, aspect: Aspect, limit: int | None,
    allow_outside: bool, common: Common,
) -> int:  # fmt: skip
    """Write clips and tasks.csv for crowd work: each task is two clips of RUNS under names that tell nothing,
    some of them attention checks. `rate import` takes the answers."""
    from evals.cli.progress import Bar
    from evals.ratings import crowd
    from evals.ratings.clips import prepare_clips

    common.start()
    with (
        opened(runs, study, aspect, limit, allow_outside) as (made, by_label),
        common.resources() as resources,
        Bar(common.quiet) as bar,
    ):
        prepare_clips(made, by_label, resources, bar)
        count = crowd.export(made, out)
    tell(f"wrote {out / crowd.TASKS}: {count} tasks; keep {made.path}, which knows whose clips they are")
    tell(f"answers (task, rater, choice: left, right or tie): t2v-evals rate import {made.path} ANSWERS.csv")
    return 0
