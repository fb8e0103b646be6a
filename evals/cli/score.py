"""`score`: score the videos of runs."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import (
    PATH,
    Choosing,
    Common,
    Normalizing,
    Retrying,
    allow_outside,
    choosing,
    common,
    normalizing,
    rescore,
    retrying,
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
@retrying
@common
def command(
    runs: tuple[Path, ...],
    out: Path,
    choosing: Choosing,
    normalizing: Normalizing,
    rescore: bool,
    allow_outside: bool,
    retrying: Retrying,
    common: Common,
) -> int:
    """Score the videos of RUNS, or folders of clips; what is scored already is not done again."""
    from evals.cli.folders import runs_of
    from evals.cli.progress import Bar
    from evals.scoring import score_run

    common.start()
    chosen, normalization = choosing.chosen(), normalizing.normalization()
    retrying.break_locks(*runs)
    with common.resources() as resources, Bar(common.quiet) as bar:
        opened = runs_of(runs, out, allow_outside, resources, bar, retrying.shard)
        for one in opened:
            score_run(one, chosen, normalization, resources, retrying.retry, rescore, bar)
    return print_runs([one.path for one in opened], str(normalization), common.as_json, retrying.shard)
