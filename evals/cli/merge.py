"""`merge`: the shards of a run become one run."""

from __future__ import annotations

from pathlib import Path

import click

from evals.cli.options import PATH, break_lock, take_over
from evals.cli.output import say
from evals.cli.results import print_runs


@click.command(name="merge")
@click.argument("run", type=PATH)
@click.argument("others", nargs=-1, type=PATH)
@break_lock
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: Path, others: tuple[Path, ...], break_lock: bool, as_json: bool) -> int:
    """Join the shards of RUN, and OTHERS: folders in which other machines made parts of the same run.

    A merge that was stopped is done again. Two parts that contradict each other are refused.
    """
    from evals.runs.merging import merge

    if break_lock:
        take_over(run, *others)
    merged = merge(run, others)
    say(f"{run}: {merged.records} records joined")
    if merged.unfinished:
        names = ", ".join(merged.unfinished)
        say(
            f"{run}: not finished: shard {names}; what is missing counts as missing. Run it again, then merge"
        )
    return print_runs([run], None, as_json)
