"""`generate`: make the videos only."""

from __future__ import annotations

import click

from evals.cli.options import Common, Generating, Working, common, generating, working
from evals.cli.results import print_runs
from evals.cli.run import generate_all


@click.command(name="generate")
@generating
@working
@common
def command(generating: Generating, working: Working, common: Common) -> int:
    """Make the videos only (or take in those of a folder)."""
    from evals.cli.progress import Bar

    common.start()
    configs = generating.configs(working)
    with common.resources() as resources, Bar(common.quiet) as bar:
        if generating.dry_run:
            from evals.cli.dry_run import print_forecasts

            return print_forecasts(configs, None, None, resources, common.as_json)
        with working.executing(resources) as executor:
            made = generate_all(configs, generating, working, resources, bar, executor)
    return print_runs([one.path for one in made], None, common.as_json, working.shard)
