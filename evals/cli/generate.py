"""`generate`: make the videos only."""

from __future__ import annotations

import click

from evals.cli.options import Common, Generating, Retrying, common, generating, retrying
from evals.cli.results import print_runs
from evals.cli.run import generate_all


@click.command(name="generate")
@generating
@retrying
@common
def command(generating: Generating, retrying: Retrying, common: Common) -> int:
    """Make the videos only (or take in those of a folder)."""
    from evals.cli.progress import Bar

    common.start()
    configs = generating.configs(retrying)
    with common.resources() as resources, Bar(common.quiet) as bar:
        if generating.dry_run:
            from evals.cli.dry_run import print_forecasts

            return print_forecasts(configs, None, None, resources, common.as_json)
        made = generate_all(configs, generating, retrying, resources, bar)
    return print_runs([one.path for one in made], None, common.as_json, retrying.shard)
