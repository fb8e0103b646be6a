"""`score`: score the videos of runs."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import (
    PATH,
    Choosing,
    Common,
    Normalizing,
    Working,
    allow_outside,
    choosing,
    common,
    normalizing,
    rescore,
    working,
)
from evals.cli.results import print_runs


@click.command(name="score")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option(
    "--out", type=PATH, default=Path("runs"), show_default=True, help="Where folders of clips become runs."
)
@choosing
@normalizing
@rescore
@allow_outside
@working
@common
def command(
    runs: tuple[Path, ...],
    out: Path,
    choosing: Choosing,
    normalizing: Normalizing,
    rescore: bool,
    allow_outside: bool,
    working: Working,
    common: Common,
) -> int:
    """Score the videos of RUNS, or folders of clips; what is scored already is not done again."""
    from evals.cli.folders import runs_of
    from evals.cli.progress import Bar
    from evals.scoring import score_run

    common.start()
    chosen, normalization = choosing.chosen(), normalizing.normalization()
    working.break_locks(*runs)
    with common.resources() as resources, Bar(common.quiet) as bar:
        opened = runs_of(runs, out, allow_outside, resources, bar, working.shard)
        with working.executing(resources) as executor:
            for one in opened:
                score_run(one, chosen, normalization, resources, working.retry, rescore, bar, executor)
    return print_runs([one.path for one in opened], str(normalization), common.as_json, working.shard)
