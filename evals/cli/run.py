"""`run`: generate and score in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evals.cli.options import (
    Choosing,
    Common,
    Generating,
    Normalizing,
    Working,
    choosing,
    common,
    generating,
    normalizing,
    rescore,
    working,
)
from evals.cli.output import say
from evals.cli.results import print_runs

if TYPE_CHECKING:
    from evals.cli.progress import Bar
    from evals.decoding.resources import Resources
    from evals.executors import Executor
    from evals.generate import RunConfig
    from evals.runs.folder import RunFolder


@click.command(name="run")
@generating
@choosing
@normalizing
@rescore
@working
@common
def command(
    generating: Generating,
    choosing: Choosing,
    normalizing: Normalizing,
    rescore: bool,
    working: Working,
    common: Common,
) -> int:
    """Generate and score: the whole job for one generator. Run it again to resume."""
    from evals.cli.progress import Bar
    from evals.scoring import score_run

    common.start()
    chosen, normalization = choosing.chosen(), normalizing.normalization()
    configs = generating.configs(working)
    with common.resources() as resources, Bar(common.quiet) as bar:
        if generating.dry_run:
            from evals.cli.dry_run import print_forecasts

            return print_forecasts(configs, chosen, normalization, resources, common.as_json)
        with working.executing(resources) as executor:
            made = generate_all(configs, generating, working, resources, bar, executor)
            for one in made:
                score_run(one, chosen, normalization, resources, working.retry, rescore, bar, executor)
    return print_runs([one.path for one in made], str(normalization), common.as_json, working.shard)


def generate_all(
    configs: list[RunConfig],
    generating: Generating,
    working: Working,
    resources: Resources,
    bar: Bar,
    executor: Executor,
) -> list[RunFolder]:
    """The runs of all generators, one after the other or in turn."""
    from evals.generate import generate_in_turn
    from evals.runs.folder import set_aside

    working.break_locks(*(config.folder for config in configs))
    for config in configs:
        if generating.restart and (before := set_aside(config.folder)):
            say(f"{config.folder}: begun again; the old run is {before}")
    return generate_in_turn(configs, resources, generating.interleave, bar, executor)
